import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// Folders as Hugging Face's cache has them: relative links into ../../blobs.
@Suite struct ModelPlaceTests {
    private static let weights = safetensors(
        #"{"x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}"#, data: [1, 2, 3, 4])

    /// A cache with one model, and its snapshot.
    private func cache() throws -> (folder: TemporaryFolder, snapshot: String) {
        let folder = try TemporaryFolder()
        let repository = "models--org--tiny model"
        for name in ["config.json", "model.safetensors"] {
            let bytes = try name == "config.json" ? fixtureBytes("llama/\(name)") : Self.weights
            try folder.write("\(repository)/blobs/\(name.count)", bytes)
            try link(folder, "\(repository)/snapshots/abc/\(name)", to: "../../blobs/\(name.count)")
        }
        try folder.write("\(repository)/refs/main", "abc\n")
        return (folder, "\(folder.path)/\(repository)/snapshots/abc")
    }

    private func link(_ folder: TemporaryFolder, _ name: String, to target: String) throws {
        let path = "\(folder.path)/\(name)"
        try FileManager.default.createDirectory(
            atPath: FilePath(path).folder, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    }

    @Test func snapshotsAndRepositoriesOpen() throws {
        let (folder, snapshot) = try cache()
        for path in [snapshot, snapshot + "/", "\(folder.path)/models--org--tiny model"] {
            let files = try ModelFiles.open(path)
            #expect(files.configuration.modelType == "llama" && files.checkpoint.tensors.count == 1)
        }
        #expect(try ModelFiles.open("\(folder.path)/models--org--tiny model").path == snapshot)
    }

    @Test func theMainRevisionOfSeveral() throws {
        let (folder, snapshot) = try cache()
        try folder.write("models--org--tiny model/snapshots/aaa/config.json", "{}")
        #expect(HubCache.snapshot("\(folder.path)/models--org--tiny model") == snapshot)
        try FileManager.default.removeItem(atPath: "\(folder.path)/models--org--tiny model/refs")
        #expect(HubCache.snapshot("\(folder.path)/models--org--tiny model") == nil)
        #expect(throws: CheckpointError.self) { try ModelFiles.open("\(folder.path)/models--org--tiny model") }
    }

    @Test func namesAreFoundInTheCache() throws {
        let (folder, snapshot) = try cache()
        try FileManager.default.moveItem(
            atPath: "\(folder.path)/models--org--tiny model", toPath: "\(folder.path)/models--org--tiny")
        let found = HubCache.model("org/tiny", in: ["/nowhere", folder.path])
        #expect(found == snapshot.replacing("tiny model", with: "tiny"))
        #expect(HubCache.model("org/other", in: [folder.path]) == nil)
        #expect(HubCache.isName("org/tiny-1.5_B") && !HubCache.isName("tiny") && !HubCache.isName("./tiny"))
        #expect(!HubCache.isName("a/b/c") && !HubCache.isName("../b") && !HubCache.isName("/b"))
    }

    @Test func placesOfTheCache() {
        #expect(HubCache.folders(["HOME": "/h"]) == ["/h/.cache/huggingface/hub"])
        #expect(HubCache.folders(["HOME": "/h", "HF_HOME": "~/hf"]) == ["/h/hf/hub"])
        #expect(HubCache.folders(["HOME": "/h", "HF_HUB_CACHE": "/c"]) == ["/c", "/h/.cache/huggingface/hub"])
    }

    @Test func anUnknownNameIsAnsweredWithTheCommandThatFetchesIt() {
        do {
            _ = try ModelFiles.open("nobody-has/this-model")
            Issue.record("it opens")
        } catch { #expect("\(error)".hasSuffix("is fetched with: hf download nobody-has/this-model")) }
    }

    @Test func aLinkThatLeadsNowhereIsNamed() throws {
        let (folder, snapshot) = try cache()
        try link(folder, "models--org--tiny model/snapshots/abc/tokenizer.json", to: "../../blobs/gone")
        do {
            _ = try ModelFiles.open(snapshot)
            Issue.record("it opens")
        } catch { #expect("\(error)".contains("abc/tokenizer.json") && "\(error)".contains("../../blobs/gone")) }
    }

    @Test func adaptersAreNamed() throws {
        let folder = try TemporaryFolder()
        try folder.write("adapter_config.json", #"{"base_model_name_or_path": "org/base"}"#)
        do {
            _ = try ModelFiles.open(folder.path)
            Issue.record("it opens")
        } catch { #expect("\(error)".contains("an adapter (LoRA) of org/base; merge it")) }
    }
}
