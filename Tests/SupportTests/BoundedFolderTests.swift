import Foundation
import Support
import TestSupport
import Testing

@Suite("Files within a budget")
struct BoundedFolderTests {
    private struct Key: FileKey {
        var number: Int
        var name: String { "n\(number)" }
        var group: Int { number % 2 }
        init(_ number: Int) { self.number = number }
        init?(name: String) {
            guard name.hasPrefix("n"), let number = Int(name.dropFirst()) else { return nil }
            self.number = number
        }
    }

    private let temporary: TemporaryFolder
    private static let beginning = Array("own".utf8)

    init() throws { temporary = try TemporaryFolder() }

    private func folder(_ budget: Int = 1000) throws -> BoundedFolder<Key> {
        try BoundedFolder(path: temporary.path, budget: budget, beginning: Self.beginning)
    }

    private func bytes(_ count: Int) -> [UInt8] { Self.beginning + [UInt8](repeating: 7, count: count - 3) }

    @Test func theLeastRecentlyUsedGo() throws {
        let folder = try folder(250)
        for number in 0..<2 { try folder.write(bytes(100), for: Key(number)) }
        #expect(try folder.read(Key(0))?.count == 100)
        try folder.write(bytes(100), for: Key(2))
        #expect(try folder.read(Key(1)) == nil)
        #expect(try folder.read(Key(0)) != nil)
        folder.withIndex { index in
            #expect(index.count == 2 && index.byteCount == 200)
            #expect(index.has(group: 0) && !index.has(group: 1))
        }
        // What never fits is refused, and nothing goes for it.
        #expect(throws: RegularFile.Fault.self) { try folder.write(bytes(251), for: Key(3)) }
        #expect(folder.withIndex(\.count) == 2)
        #expect(temporary.contents.count { $0.contains("/") } == 2)
    }

    @Test func itIsThereAgain() throws {
        do {
            let folder = try folder()
            for number in 0..<5 { try folder.write(bytes(100), for: Key(number)) }
            usleep(20_000)
            folder.touch(Key(0))
            #expect(folder.remove(Key(1)))
        }
        let again = try folder(300)
        // 2 is the one that was used least recently.
        #expect(try again.read(Key(2)) == nil)
        for number in [0, 3, 4] { #expect(try again.read(Key(number)) == Data(bytes(100))) }
    }

    @Test func whatIsForeignStays() throws {
        let folder = try folder(150)
        try folder.write(bytes(100), for: Key(0))
        let own = folder.place(Key(0))
        let place = folder.place(Key(1))
        // Another file of the name, a folder, a link, and names that nobody gives.
        try FileManager.default.createDirectory(
            atPath: FilePath(place).folder, withIntermediateDirectories: true)
        try Data("foreign".utf8).write(to: URL(fileURLWithPath: place))
        symlink(own, folder.place(Key(2)))
        let strange = ["n1", "aa/n1", "aa/other", "zz/n3", "aa/n01"]
        for name in strange where !"\(temporary.path)/\(name)".hasSuffix(place) { try temporary.write(name, "own?") }
        let again = try self.folder(150)
        #expect(!again.withIndex { $0.contains(Key(2)) })
        #expect(throws: RegularFile.Fault.self) { try again.write(bytes(100), for: Key(1)) }
        #expect(!again.remove(Key(1)))
        #expect(try String(contentsOfFile: place, encoding: .utf8) == "foreign")
        for name in strange { #expect(FileManager.default.fileExists(atPath: "\(temporary.path)/\(name)")) }
        #expect(try again.read(Key(0))?.count == 100)
    }
}

@Suite("Values within a budget")
struct RecentValuesTests {
    @Test func asASlowOne() {
        var values = RecentValues<Int, String>(budget: 100)
        /// Key, bytes; the one used last stands last.
        var expected: [(key: Int, bytes: Int)] = []
        var generator = SplitMix64(seed: 1)
        for _ in 0..<5000 {
            let key = Int.random(in: 0..<20, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                #expect((values.use(key) != nil) == expected.contains { $0.key == key })
                if let place = expected.firstIndex(where: { $0.key == key }) {
                    expected.append(expected.remove(at: place))
                }
            case 1:
                #expect((values.remove(key) != nil) == expected.contains { $0.key == key })
                expected.removeAll { $0.key == key }
            default:
                let bytes = Int.random(in: 1...120, using: &generator)
                let gone = values.insert("\(key)", for: key, bytes: bytes).map(\.key)
                expected.removeAll { $0.key == key }
                var lost: [Int] = []
                if bytes > 100 {
                    lost = [key]
                } else {
                    expected.append((key, bytes))
                    while expected.reduce(0, { $0 + $1.bytes }) > 100 { lost.append(expected.removeFirst().key) }
                }
                #expect(gone == lost)
            }
            #expect(values.count == expected.count)
            #expect(values.byteCount == expected.reduce(0) { $0 + $1.bytes })
        }
    }
}
