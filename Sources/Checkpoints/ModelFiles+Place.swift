import Foundation
import Support

extension ModelFiles {
    /// Where the model called `path` is: there; in the snapshot of a repository in Hugging Face's cache, when `path` is its
    /// folder; or in that cache, when `path` is the name of a repository, OWNER/NAME.
    /// - Throws: ``CheckpointError/unreadable(path:reason:)``, which says how the model can be fetched.
    static func place(_ path: String) throws -> String {
        guard FileManager.default.fileExists(atPath: path) else {
            if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) {
                throw dead(path, target)
            }
            guard HubCache.isName(path) else {
                let place = FilePath(path)
                let names = (try? FileManager.default.contentsOfDirectory(atPath: place.folder)) ?? []
                throw CheckpointError.unreadable(
                    path: path, reason: "no such file or folder" + Suggestion.hint(place.name, among: names))
            }
            let folders = HubCache.folders()
            if let folder = HubCache.model(path, in: folders) { return folder }
            throw CheckpointError.unreadable(
                path: path,
                reason: "no such file or folder, and not in \(folders.joined(separator: " or ")); "
                    + "a model of the Hugging Face Hub is fetched with: hf download \(path)")
        }
        guard HubCache.isRepository(path), !FileManager.default.fileExists(atPath: path + "/config.json") else {
            return path
        }
        guard let folder = HubCache.snapshot(path) else {
            throw CheckpointError.notAModel(
                path: path, expected: "a revision that refs/main names, in snapshots", found: "none; name its folder")
        }
        return folder
    }

    /// Refuses a folder in which a link leads nowhere, before what is missing there is taken for something that the model
    /// does not have.
    static func checkLinks(_ folder: String) throws {
        let endings = [".json", ".jinja", ".safetensors", ".model", ".txt"]
        if let link = LinkedFolder.deadLink(folder, matters: { name in endings.contains { name.hasSuffix($0) } }) {
            throw dead(link.path, link.target)
        }
    }

    private static func dead(_ path: String, _ target: String) -> CheckpointError {
        .unreadable(path: path, reason: "it is a link to \(target), which is not there; fetch the model again")
    }
}
