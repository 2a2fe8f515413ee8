import Foundation

/// What is trained on and what is held apart, each file looked up and none read yet.
package struct DataSources {
    let trained: [DataSource]
    let held: [DataSource]
    /// The share of each trained source's rows that is held apart, where there are no sources for that.
    package let share: Double
    let length: Int
    /// The share of rows that are recall rows.
    let recall: Double
    let options: DataOptions
    /// The files of the trained sources, then of those held apart.
    let files: [[DataFile]]

    /// - Throws: ``DataError``.
    package init(
        _ sources: [DataSource], validation: Validation, length: Int, recall: Double = 0, options: DataOptions
    ) throws {
        try Self.validate(sources, validation, length, recall)
        try options.validate()
        switch validation {
        case .share(let share): (held, self.share) = ([], share)
        case .sources(let sources): (held, share) = (sources, 0)
        }
        (trained, self.length, self.recall, self.options) = (sources, length, recall, options)
        files = try (sources + held).map { source in
            try source.files().map { path in
                // Opened once now: what cannot be read is found before anything is computed.
                if options.onError == .refuse { _ = try RandomAccessFile(path: path) }
                return try DataFile(path: path)
            }
        }
        try Self.refuseOverlap(files[..<sources.count], files[sources.count...])
    }

    /// The names of the files, without their folders.
    package var trainedNames: [String] { files[..<trained.count].joined().map(Self.name) }
    package var heldNames: [String] { files[trained.count...].joined().map(Self.name) }

    private static func name(_ file: DataFile) -> String { URL(fileURLWithPath: file.path).lastPathComponent }

    // MARK: Checks

    private static func validate(
        _ sources: [DataSource], _ validation: Validation, _ length: Int, _ recall: Double
    ) throws {
        guard !sources.isEmpty, sources.count <= Mixture.blockRows else {
            throw DataError.option(
                name: "the number of sources", expected: "1 to \(Mixture.blockRows)", found: "\(sources.count)")
        }
        guard (2...1 << 24).contains(length) else {
            throw DataError.option(name: "the row's length", expected: "2 to \(1 << 24)", found: "\(length)")
        }
        if case .share(let share) = validation, !(0...0.5).contains(share) {
            throw DataError.option(name: "the share for validation", expected: "0 to 0.5", found: "\(share)")
        }
        guard RecallShare.range.contains(recall) else {
            let expected = "\(RecallShare.range.lowerBound) to \(RecallShare.range.upperBound)"
            throw DataError.option(name: "the share of recall rows", expected: expected, found: "\(recall)")
        }
        for source in sources {
            if let weight = source.weight, !(weight > 0 && weight.isFinite) {
                throw DataError.weight(source: source.path, expected: "a positive number", found: "\(weight)")
            }
            guard (source.weight == nil) == (sources[0].weight == nil) else {
                let lacking = source.weight == nil ? source : sources[0]
                throw DataError.weight(
                    source: lacking.path, expected: "a weight for every source, or for none", found: "only some")
            }
        }
    }

    /// Refuses files that are in both lists, whatever the names that lead to them.
    private static func refuseOverlap(_ trained: ArraySlice<[DataFile]>, _ held: ArraySlice<[DataFile]>) throws {
        func resolved(_ file: DataFile) -> String { URL(fileURLWithPath: file.path).resolvingSymlinksInPath().path }
        let paths = Set(trained.joined().map(resolved))
        for file in held.joined() where paths.contains(resolved(file)) { throw DataError.overlap(file: file.path) }
    }
}
