import Checkpoints
import Foundation
import Support
import Tensors
import Testing

@Suite struct SafetensorsWriterTests {
    private static func tensors() throws -> [(name: String, tensor: Tensor)] {
        [
            ("mask", try Tensor([true, false, true], shape: [3])),
            ("layer.weight", try Tensor((0..<12).map { Float($0) / 3 }, shape: [3, 4])),
            ("ids", try Tensor([Int64.min, 7], shape: [2])),
            ("layer.bias", try Tensor([BFloat16(1.5), BFloat16(-2)], shape: [2])),
            ("empty", try Tensor.zeros([0, 4])),
            ("scalar", try Tensor([2.5], shape: [])),
        ]
    }

    private func declaration(_ tensors: [(name: String, tensor: Tensor)]) -> [(String, [Int], DType)] {
        tensors.map { ($0.name, $0.tensor.shape, $0.tensor.dtype) }
    }

    private func write(to folder: String, shardLimit: Int = 1000) throws {
        let tensors = try Self.tensors()
        let writer = try SafetensorsWriter(
            directory: folder, tensors: declaration(tensors), shardLimit: shardLimit,
            metadata: ["format": "pt", "a": "é\""])
        for (_, tensor) in tensors { try writer.append(tensor) }
        #expect(try files(folder).allSatisfy { $0.hasSuffix(".partial") })
        try writer.finish()
    }

    private func files(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    private func bytes(_ path: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) }

    @Test func readsBackWhatItWrote() throws {
        try withTemporaryFolder { folder in
            try write(to: folder)
            #expect(try files(folder) == ["model.safetensors"])
            let checkpoint = try SafetensorsCheckpoint(path: folder)
            #expect(checkpoint.metadata == ["format": "pt", "a": "é\""])
            #expect(checkpoint.tensors.count == 6)
            for (name, tensor) in try Self.tensors() {
                #expect(try checkpoint.load(name).isIdentical(to: tensor), "\(name)")
            }
        }
    }

    @Test func alignsHeaderAndTensors() throws {
        try withTemporaryFolder { folder in
            try write(to: folder)
            let contents = try bytes(folder + "/model.safetensors")
            let header = contents[0] | contents[1] << 7
            #expect(header % 8 == 0)
            for tensor in try SafetensorsCheckpoint(path: folder).tensors {
                let loaded = try SafetensorsCheckpoint(path: folder).load(tensor.name)
                let isAligned = try loaded.withUnsafeBytes { Int(bitPattern: $0.baseAddress) % loaded.dtype.size == 0 }
                #expect(isAligned, "\(tensor.name)")
            }
        }
    }

    @Test func writesTheSameBytesAgain() throws {
        try withTemporaryFolder { first in
            try withTemporaryFolder { second in
                try write(to: first)
                try write(to: second)
                #expect(try bytes(first + "/model.safetensors") == bytes(second + "/model.safetensors"))
            }
        }
    }

    @Test func shards() throws {
        try withTemporaryFolder { folder in
            // mask 3 bytes; layer.weight 48; ids 16 and layer.bias 4; the rest follows.
            try write(to: folder, shardLimit: 40)
            #expect(
                try files(folder) == (1...3).map { "model-0000\($0)-of-00003.safetensors" } + [
                    "model.safetensors.index.json"
                ])
            let index = try JSONValue(file: folder + "/model.safetensors.index.json")
            #expect(index["metadata"]?["total_size"] == 79)
            #expect(index["weight_map"]?["layer.weight"] == "model-00002-of-00003.safetensors")
            #expect(
                index["weight_map"]?.objectValue?.keys == [
                    "empty", "ids", "layer.bias", "layer.weight", "mask", "scalar",
                ])
            let checkpoint = try SafetensorsCheckpoint(path: folder)
            for (name, tensor) in try Self.tensors() {
                #expect(try checkpoint.load(name).isIdentical(to: tensor), "\(name)")
            }
        }
    }

    @Test func refusesExistingFiles() throws {
        for name in ["model.safetensors", "model.safetensors.index.json"] {
            try withTemporaryFolder { folder in
                try Data().write(to: URL(fileURLWithPath: folder + "/" + name))
                #expect(throws: CheckpointError.exists(path: folder + "/" + name)) { try write(to: folder) }
                #expect(try files(folder) == [name])
            }
        }
        try withTemporaryFolder { folder in
            let shard = "model-00002-of-00003.safetensors"
            try Data().write(to: URL(fileURLWithPath: folder + "/" + shard))
            #expect(throws: CheckpointError.exists(path: folder + "/" + shard)) {
                try write(to: folder, shardLimit: 40)
            }
            #expect(try files(folder) == [shard])
        }
    }

    @Test func keepsAFileThatAppearedMeanwhile() throws {
        try withTemporaryFolder { folder in
            let tensors = try Self.tensors()
            let writer = try SafetensorsWriter(directory: folder, tensors: declaration(tensors), shardLimit: 40)
            for (_, tensor) in tensors { try writer.append(tensor) }
            let shard = folder + "/model-00002-of-00003.safetensors"
            try Data([1]).write(to: URL(fileURLWithPath: shard))
            #expect(throws: CheckpointError.exists(path: shard)) { try writer.finish() }
            #expect(try files(folder) == ["model-00002-of-00003.safetensors"])
            #expect(try bytes(shard) == [1])
        }
    }

    @Test func leavesNothingWhenCancelledOrForgotten() throws {
        try withTemporaryFolder { folder in
            let tensors = try Self.tensors()
            var writer: SafetensorsWriter? = try SafetensorsWriter(directory: folder, tensors: declaration(tensors))
            try writer?.append(tensors[0].tensor)
            writer?.cancel()
            #expect(try files(folder) == [])
            #expect(throws: CheckpointError.self) { try writer?.append(tensors[1].tensor) }
            #expect(throws: CheckpointError.self) { try writer?.finish() }
            writer = try SafetensorsWriter(directory: folder, tensors: declaration(tensors))
            #expect(try files(folder).count == 1)
            writer = nil
            #expect(try files(folder) == [])
        }
    }

    @Test func refusesWhatWasNotDeclared() throws {
        try withTemporaryFolder { folder in
            let tensor = try Tensor.zeros([2, 2])
            for declared in [[2], [2, 3], [4]] {
                let writer = try SafetensorsWriter(directory: folder, tensors: [("x", declared, .float32)])
                #expect(throws: CheckpointError.self) { try writer.append(tensor) }
                #expect(try files(folder) == [])
            }
            let types = try SafetensorsWriter(directory: folder, tensors: [("x", [2, 2], .bfloat16)])
            #expect(throws: CheckpointError.self) { try types.append(tensor) }
            let fewer = try SafetensorsWriter(directory: folder, tensors: [("x", [2, 2], .float32)])
            #expect(throws: CheckpointError.self) { try fewer.finish() }
            let more = try SafetensorsWriter(directory: folder, tensors: [("x", [2, 2], .float32)])
            try more.append(tensor)
            #expect(throws: CheckpointError.self) { try more.append(tensor) }
            #expect(try files(folder) == [])
        }
    }

    @Test func refusesUnsoundDeclarations() throws {
        try withTemporaryFolder { folder in
            for tensors in [
                [("x", [1], .float32), ("x", [1], .float32)], [("", [1], .float32)], [("__metadata__", [1], .float32)],
                [("x", [-1], .float32)], [("x", [1 << 62, 1 << 62], .float32)], [("x", [1 << 59], .uint8)],
            ] as [[(String, [Int], DType)]] {
                #expect(throws: CheckpointError.self) { try SafetensorsWriter(directory: folder, tensors: tensors) }
            }
            let left = try files(folder)
            #expect(left == [])
        }
    }

    @Test func reportsAFullDiskBeforeWriting() throws {
        try withTemporaryFolder { folder in
            do {
                _ = try SafetensorsWriter(directory: folder, tensors: [("x", [1 << 56], .float32)])
                Issue.record("2^58 bytes are not refused")
            } catch CheckpointError.diskFull(folder, let needed, let available) {
                #expect(needed > 1 << 58 && available < needed)
            }
            #expect(try files(folder) == [])
        }
    }

    @Test func reportsAFailureWhileWriting() throws {
        try withTemporaryFolder { folder in
            let descriptor = open("/dev/full", O_WRONLY)
            try #require(descriptor >= 0)
            let file = StagedFile(path: folder + "/x", temporaryPath: folder + "/.x.partial", descriptor: descriptor)
            #expect(throws: RegularFile.Fault(description: "No space left on device", code: ENOSPC)) {
                try [UInt8](repeating: 1, count: 100).withUnsafeBytes { try file.write($0, at: 0) }
            }
            file.discard()
            #expect(try files(folder) == [])
        }
    }

    @Test func refusesFoldersThatCannotBeWritten() throws {
        #expect(throws: CheckpointError.self) { try write(to: "/proc") }
        #expect(throws: CheckpointError.self) { try write(to: "/nonexistent/folder") }
        try withTemporaryFolder { folder in
            try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: folder)
            defer { try? FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: folder) }
            // Root may write anywhere.
            if getuid() != 0 { #expect(throws: CheckpointError.self) { try write(to: folder) } }
        }
    }
}
