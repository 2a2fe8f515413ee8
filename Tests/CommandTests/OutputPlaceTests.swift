import Foundation
import TestSupport
import Testing

@Suite("Where models are written")
struct OutputPlaceTests {
    private let place: TinyModel
    init() throws { place = try TinyModel() }

    private func convert(_ source: String, _ output: String) throws -> MoultProcess {
        try MoultProcess("convert", source, "--output", "\(place.path)/\(output)")
    }

    @Test("nothing that is there is replaced, and a failure leaves no folder above")
    func occupied() throws {
        try place.write("file", "precious")
        try place.write("folder/file", "precious")
        #expect(symlink("folder", "\(place.path)/link") == 0 && symlink("none", "\(place.path)/dangling") == 0)
        try place.write("model.gguf", "GGUF")
        let before = place.contents("")
        for output in ["file", "folder", "folder/", "link", "dangling", "."] {
            let result = try convert(place.teacher, output)
            #expect(result.status != 0 && result.error.contains("exists already"), "\(output): \(result.error)")
        }
        let below = try convert(place.teacher, "file/a")
        #expect(below.status != 0 && below.error.contains("Not a directory"), "\(below.error)")
        try FileManager.default.createDirectory(atPath: "\(place.path)/broken", withIntermediateDirectories: false)
        for name in place.contents("teacher") where name != "model.safetensors" {
            try FileManager.default.copyItem(atPath: "\(place.teacher)/\(name)", toPath: "\(place.path)/broken/\(name)")
        }
        var weights = try place.bytes("teacher/model.safetensors")
        // A weight that is no number stops the conversion on its way.
        weights[(weights.count - 4)...] = Data([0xFF, 0xFF, 0xFF, 0xFF])
        try weights.write(to: URL(fileURLWithPath: "\(place.path)/broken/model.safetensors"))
        let failed = try convert("\(place.path)/broken", "a/b/c")
        #expect(failed.status != 0 && !place.exists("a"), "\(failed.error)")
        #expect(place.contents("").filter { !$0.hasPrefix("broken") } == before)
        #expect(try convert(place.teacher, "a/b/c/").status == 0 && place.exists("a/b/c/config.json"))
    }

    @Test("a source of links, as in a cache of downloads, gives files")
    func links() throws {
        try FileManager.default.createDirectory(atPath: "\(place.path)/snapshot", withIntermediateDirectories: false)
        for name in place.contents("teacher") {
            #expect(symlink("../teacher/\(name)", "\(place.path)/snapshot/\(name)") == 0)
        }
        #expect(try convert("\(place.path)/snapshot", "deep/er/model").status == 0)
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            #expect(try place.bytes("deep/er/model/\(name)") == place.bytes("teacher/\(name)"))
            let path = "\(place.path)/deep/er/model/\(name)"
            let type = try FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
            #expect(type == .typeRegular)
        }
    }

    @Test("what a kill left is removed by the next that writes there, and what a living process writes is not")
    func leftovers() throws {
        let living = try RunningMoult(["convert", smolLM2, "--output", "\(place.path)/out/living"])
        func partials() -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: "\(place.path)/out")) ?? []).filter {
                $0.hasSuffix(".partial")
            }
        }
        living.wait { !partials().isEmpty }
        let killed = try RunningMoult(["quantize", smolLM2, "--bits", "4", "--output", "\(place.path)/out/killed"])
        killed.wait { partials().count == 2 }
        killed.signal(SIGKILL)
        living.signal(SIGSTOP)
        _ = killed.finish()
        #expect(partials().count == 2)
        #expect(try convert(place.teacher, "out/small").status == 0)
        #expect(partials().count == 1 && partials().allSatisfy { $0.hasPrefix(".living.moult-\(living.identifier)-") })
        living.signal(SIGCONT)
        #expect(living.finish().status == 0)
        #expect(partials().isEmpty && place.exists("out/living/model.safetensors") && !place.exists("out/killed"))
    }
}
