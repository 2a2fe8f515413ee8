import Foundation
import Records
import Support
import TestSupport
import Testing

@Suite("TensorBoard event files")
struct TensorBoardWriterTests {
    /// What Tools/fixtures/tensorboard_events.py made.
    private static func fixture(_ name: String) throws -> Data {
        try Data(
            contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("Fixtures/\(name)"))
    }

    /// The vectors of RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
    @Test func checksums() {
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum(Array(0..<32)) == 0x46DD_794E)
        #expect(CRC32C.checksum((0..<32).reversed()) == 0x113F_DB5C)
        #expect(CRC32C.checksum("123456789".utf8) == 0xE306_9283)
        #expect(CRC32C.checksum([]) == 0)
    }

    private func step(_ step: Int, loss: Double) -> MetricsEvent {
        .step(
            .init(
                step: step, stage: "align", stageStep: step, tokens: 1024 * step, loss: loss,
                learningRate: 0.001 * Double(step), gradientNorm: 2.5, tokensPerSecond: 310, skipped: 0, seconds: 3.3))
    }

    @Test("the bytes that TensorBoard's own writer makes, for a run and for one that goes on")
    func bytes() throws {
        let folder = try TemporaryFolder()
        let first = try TensorBoardWriter(folder: "\(folder.path)/tensorboard") {
            Date(timeIntervalSince1970: 1_767_225_600.25)
        }
        let losses = MetricsEvent.validation(.init(step: 0, stage: "align", tokens: 0, loss: 3.5, isBest: true))
        for event in [
            .memory(.init(teacher: nil, student: .init(constant: 1, perToken: 0))), losses, step(1, loss: 0.75),
            step(2, loss: .infinity), .alignment(.init(step: 3, layers: [0.5, nil, 0.125])),
            .stageEnd(.init(step: 3, stage: "align")),
        ] { try first.append(event) }
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: first.path))
                == Self.fixture("tensorboard/first.tfevents"))

        let resumed = try TensorBoardWriter(folder: "\(folder.path)/tensorboard", purgingFrom: 2) {
            Date(timeIntervalSince1970: 1_767_229_200.5)
        }
        for event in [step(2, loss: 0.5), step(300, loss: 0.25)] { try resumed.append(event) }
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: resumed.path))
                == Self.fixture("tensorboard/resumed.tfevents"))
    }

    @Test("files have names that TensorBoard looks for, and never one name twice")
    func names() throws {
        let folder = try TemporaryFolder()
        let writers = try (0..<3).map { _ in
            try TensorBoardWriter(folder: folder.path) { Date(timeIntervalSince1970: 7) }
        }
        #expect(Set(writers.map(\.path)).count == 3)
        for writer in writers {
            let name = try #require(writer.path.split(separator: "/").last)
            #expect(name.hasPrefix("events.out.tfevents.7."))
        }
    }

    @Test func folderThatCannotBe() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("file", "")
        let error = try #require(throws: MetricsError.self) { try TensorBoardWriter(folder: "\(file)/tensorboard") }
        #expect("\(error)".contains("Not a directory"))
    }
}
