import Foundation
import Support
import Text

extension TrainingConfiguration {
    /// The same with every path absolute, so that it holds wherever the run is resumed from.
    func withAbsolutePaths() -> Self {
        func absolute(_ path: String) -> String {
            guard !path.isEmpty, !path.hasPrefix("/") else { return path }
            return FileManager.default.currentDirectoryPath + "/" + path.trimmingPrefix("./")
        }
        /// A name that Hugging Face's cache knows stands for the revision that is there now.
        func modelPath(_ path: String) -> String {
            let isName = HubCache.isName(path) && !FileManager.default.fileExists(atPath: path)
            return isName ? HubCache.model(path) ?? path : absolute(path)
        }
        var result = self
        result.model = modelPath(model)
        result.teacher = teacher.map(modelPath)
        result.data.train = data.train.map(absolute)
        result.data.validation = data.validation.map(absolute)
        result.data.cache = data.cache.map(absolute)
        return result
    }

    /// Whether what a recorded configuration names is still there.
    /// - Parameter file: the configuration's.
    /// - Throws: ``TrainingError/configuration(path:line:reason:)`` with the key to change.
    func checkPaths(file: String) throws {
        func missing(_ key: String, _ path: String) -> TrainingError {
            .configuration(
                path: file, line: nil,
                reason: "\(key): nothing is at '\(path)'; if it was moved, write its new place there")
        }
        for (key, path) in [("model", model), ("teacher", teacher)] {
            guard let path, !path.isEmpty, !FileManager.default.fileExists(atPath: path) else { continue }
            throw missing(key, path)
        }
        for (key, sources) in [("data.train", data.train), ("data.validation", data.validation)] {
            for source in sources {
                do { _ = try DataSource(parsing: source).files() } catch DataError.noMatch {
                    throw missing(key, source)
                }
            }
        }
    }
}
