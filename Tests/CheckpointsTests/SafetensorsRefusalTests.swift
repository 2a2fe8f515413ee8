import Checkpoints
import Foundation
import Testing

/// Every way in which a safetensors file can be unsound, each refused by the error that says so.
@Suite struct SafetensorsRefusalTests {
    private static let sound = #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#

    private func refusal(_ bytes: [UInt8]) -> CheckpointError? {
        do {
            _ = try SafetensorsCheckpoint(contents: bytes, path: "test")
            return nil
        } catch { return error as? CheckpointError }
    }

    private func refusal(_ header: String, data: Int) -> CheckpointError? {
        refusal(safetensors(header, data: [UInt8](repeating: 0, count: data)))
    }

    @Test func acceptsASoundFile() { #expect(refusal(Self.sound, data: 8) == nil) }

    @Test func truncatedEverywhere() {
        let bytes = safetensors(Self.sound, data: [UInt8](repeating: 0, count: 8))
        for length in 0..<bytes.count { #expect(refusal(Array(bytes.prefix(length))) != nil, "\(length)") }
        #expect(
            refusal(Array(bytes.prefix(20)))
                == .truncated(file: "test", part: "the header", needed: UInt64(Self.sound.utf8.count), available: 12))
    }

    @Test(arguments: [1 << 63, .max, 100_000_001] as [UInt64])
    func headerLength(_ length: UInt64) {
        let bytes = littleEndian(length) + Array(Self.sound.utf8)
        let expected = CheckpointError.tooLarge(
            file: "test", part: "the header's length", limit: 100_000_000, found: length)
        #expect(refusal(bytes) == expected)
    }

    private func pair(_ first: (Int, Int), _ second: (Int, Int), data: Int = 16) -> CheckpointError? {
        func entry(_ name: String, _ span: (Int, Int)) -> String {
            #""\#(name)":{"dtype":"F32","shape":[\#((span.1 - span.0) / 4)],"data_offsets":[\#(span.0),\#(span.1)]}"#
        }
        return refusal("{\(entry("x", first)),\(entry("y", second))}", data: data)
    }

    @Test func overlap() {
        #expect(pair((0, 8), (8, 16)) == nil)
        let expected = "bytes that begin at 8, where the previous tensor ends"
        #expect(pair((0, 8), (4, 12)) == .tensor(file: "test", name: "y", expected: expected, found: "4 (an overlap)"))
        #expect(pair((0, 8), (0, 8)) == .tensor(file: "test", name: "y", expected: expected, found: "0 (an overlap)"))
    }

    @Test func gap() {
        let expected = "bytes that begin at 4, where the previous tensor ends"
        #expect(pair((0, 4), (8, 16)) == .tensor(file: "test", name: "y", expected: expected, found: "8 (a gap)"))
        #expect(pair((4, 8), (8, 16)) != nil)
    }

    @Test func outOfRange() {
        let expected = CheckpointError.tensor(
            file: "test", name: "y", expected: "offsets within 16 bytes of data", found: "8..<20")
        #expect(pair((0, 8), (8, 20)) == expected)
        #expect(pair((8, 0), (0, 16)) != nil)
    }

    @Test func dataWithoutATensor() {
        #expect(
            refusal(Self.sound, data: 12)
                == .malformed(
                    file: "test", part: "data after the last tensor", expected: "none", found: "4 bytes"))
    }

    @Test func shapeThatIsNotTheSpan() {
        let header = #"{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#
        #expect(
            refusal(header, data: 8)
                == .tensor(file: "test", name: "x", expected: "12 bytes for [3] of F32", found: "8 bytes"))
    }

    @Test(arguments: ["4611686018427387904,2", "4294967296,4294967296", "0,9223372036854775807", "9223372036854775807"])
    func shapeThatOverflows(_ extents: String) {
        let header = #"{"x":{"dtype":"F32","shape":[\#(extents)],"data_offsets":[0,0]}}"#
        guard case .tensor(_, "x", "a shape whose size can be counted", _) = refusal(header, data: 0) else {
            Issue.record("\(extents) is not refused")
            return
        }
    }

    @Test func duplicateNames() {
        let header =
            #"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0078":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#
        #expect(refusal(header, data: 2) == .duplicate(file: "test", name: "x"))
        let keys = #"{"x":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
        #expect(refusal(keys, data: 1) == .duplicate(file: "test", name: "dtype"))
    }

    @Test(arguments: [
        "", "[]", "{", "{}x", #"{"x":1}"#, #"{"x":{}}"#, #"{"x":{"dtype":"F32","shape":[2]}}"#,
        #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0]}}"#,
        #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}"#,
        #"{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
        #"{"x":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}"#,
        #"{"x":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}"#,
        #"{"x":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}"#,
        #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":0}}"#,
        #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,99999999999999999999]}}"#,
        #"{"__metadata__":{"format":1},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
    ])
    func malformedHeader(_ header: String) { #expect(refusal(header, data: 8) != nil) }

    @Test func unknownType() {
        let header = #"{"x":{"dtype":"F3_E1M1","shape":[8],"data_offsets":[0,8]}}"#
        guard case .unsupported("test", "type of tensor x", "F3_E1M1", _) = refusal(header, data: 8) else {
            Issue.record("F3_E1M1 is not refused")
            return
        }
    }

    @Test func booleanThatIsNeither() throws {
        let header = #"{"x":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}"#
        let checkpoint = try SafetensorsCheckpoint(contents: safetensors(header, data: [1, 2]), path: "test")
        #expect(throws: CheckpointError.self) { try checkpoint.load("x") }
    }

    // MARK: Folders

    private func folderRefusal(_ files: [String: [UInt8]]) throws -> CheckpointError? {
        try withTemporaryFolder { folder in
            for (name, bytes) in files { try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + name)) }
            do {
                _ = try SafetensorsCheckpoint(path: folder)
                return nil
            } catch { return error as? CheckpointError }
        }
    }

    private func index(_ map: String) -> [UInt8] { Array(#"{"metadata":{},"weight_map":\#(map)}"#.utf8) }

    @Test func indexOfFilesElsewhere() throws {
        for name in ["../secret.safetensors", "/etc/passwd", "..", "a/b", "", #"a\\b"#] {
            let error = try folderRefusal(["model.safetensors.index.json": index(#"{"x":"\#(name)"}"#)])
            guard case .malformed(_, "weight_map.x", "the name of a file in the same folder", _) = error else {
                Issue.record("\(name) is not refused: \(String(describing: error))")
                continue
            }
        }
    }

    @Test func indexOfMissingThings() throws {
        let shard = safetensors(Self.sound, data: [UInt8](repeating: 0, count: 8)),
            name = "model.safetensors.index.json"
        #expect(try folderRefusal([name: index(#"{"x":"a"}"#), "a": shard]) == nil)
        guard case .unreadable = try folderRefusal([name: index(#"{"x":"a"}"#)]) else {
            Issue.record("a missing shard is not refused")
            return
        }
        guard case .missingTensor(_, "y") = try folderRefusal([name: index(#"{"x":"a","y":"a"}"#), "a": shard]) else {
            Issue.record("a missing tensor is not refused")
            return
        }
        for map in ["{}", "[]", #"{"x":1}"#] { #expect(try folderRefusal([name: index(map), "a": shard]) != nil) }
    }

    @Test func pathsThatAreNotModels() throws {
        try withTemporaryFolder { folder in
            try Data().write(to: URL(fileURLWithPath: folder + "/empty"))
            let empty = CheckpointError.notAModel(
                path: folder + "/empty", expected: "a file with content", found: "an empty file")
            #expect(throws: empty) { try SafetensorsCheckpoint(path: folder + "/empty") }
            #expect(throws: empty) { try ModelFiles.open(folder + "/empty") }
            let none = CheckpointError.notAModel(
                path: folder, expected: "model.safetensors or model.safetensors.index.json", found: "neither")
            #expect(throws: none) { try SafetensorsCheckpoint(path: folder) }
            #expect(throws: CheckpointError.self) { try SafetensorsCheckpoint(path: folder + "/absent") }
            #expect(throws: CheckpointError.self) { try ModelFiles.open(folder) }
            #expect(throws: CheckpointError.self) { try ModelFiles.open(folder + "/absent") }
            #expect(throws: CheckpointError.notAModel(path: folder, expected: "a file", found: "a folder")) {
                try GGUFCheckpoint(path: folder)
            }
            #expect(throws: CheckpointError.notAModel(path: "/dev/zero", expected: "a file", found: "a device")) {
                try GGUFCheckpoint(path: "/dev/zero")
            }
        }
    }
}
