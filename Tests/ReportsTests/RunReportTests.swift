import Checkpoints
import Foundation
import Records
import Reports
import Support
import TestSupport
import Testing

@Suite("The report of a run")
struct RunReportTests {
    private let folder: TemporaryFolder
    private var run: String { "\(folder.path)/run" }
    private var page: String { "\(folder.path)/report.html" }

    init() throws { folder = try TemporaryFolder() }

    private func text() throws -> String {
        try RunReport(folder: run).write(to: page)
        return try String(contentsOfFile: page, encoding: .utf8)
    }

    private func addRest() throws {
        try folder.write("run/config.yaml", "seed: 0 # <first> & 'last'\n")
        try folder.write(
            "run/student/conversion.json",
            #"{"source":"SmolLM2","parameters":100,"mixers":["gsa","attention","gsa"],"#
                + #""reused":{"tensors":272,"parameters":97,"percent":97.47},"#
                + #""initialised":{"tensors":120,"parameters":3,"percent":2.53},"#
                + #""dropped":{"tensors":1,"parameters":9,"percent":0.5}}"#)
    }

    private let headings = [
        "Quality", "Training loss", "Alignment by layer", "Perplexity by position", "Memory of a sequence",
        "Learning rate", "Gradient norm", "Throughput", "Stages", "Conversion", "Configuration",
    ]

    // MARK: What is on the page

    @Test("a whole run has every section, and the headline says how it went")
    func whole() throws {
        try SyntheticRun().write(to: folder)
        try addRest()
        let parsed = try PageParser(text())
        #expect(parsed.texts("h2") == headings)
        #expect(parsed.texts("h1") == ["SmolLM2, made recurrent"])
        let lead = try #require(parsed.elements.first { $0.attributes["class"] == "lead" }).text
        #expect(
            lead == "After 102k tokens the student's perplexity on text held apart is 22.00, 1.1 times its teacher's "
                + "20.00; before this run it was 48.00.")
        #expect(
            parsed.texts("figcaption").contains(
                "By place in the row, each token predicted from what its document has before it. Most of what helps stands "
                    + "near by, so that a student that forgets gets better along the row as its teacher does: what it "
                    + "remembers, moult evaluate --tasks recall measures."))
        let tiles = parsed.texts("strong")
        #expect(tiles == ["20.00", "48.00", "22.00", "1.1×", "102k", "5 min 30 s"])
        let facts = try #require(parsed.elements.first { $0.attributes["class"] == "facts" }).text
        #expect(facts.contains("complete at step 100") && facts.contains("14 steps skipped"), "\(facts)")
        #expect(parsed.texts("pre") == ["seed: 0 # <first> & 'last'\n"])
        let rows = parsed.texts("tr")
        #expect(rows.contains { $0.contains("align") && $0.contains("40,960") })
        #expect(rows.contains { $0.contains("distil") && $0.contains("61,440") })
        #expect(rows.contains { $0.contains("reused") && $0.contains("97.47% of the student") })
        #expect(rows.contains { $0.contains("dropped") && $0.contains("0.50% of the source") })
        #expect(parsed.texts("p").contains("From SmolLM2; layers: 2 gsa, 1 attention."))
        #expect(
            parsed.texts("p").contains(
                "the student needs 5.9 MB whatever the length; the teacher 4.61 GB for 100k tokens, 781 times as much")
        )
    }

    @Test("what a student remembers is a row for each distance, and notices are shown")
    func recall() throws {
        func recall(_ step: Int, _ shares: [Double]) -> MetricsEvent {
            .recall(
                .init(
                    step: step, chance: 0.1,
                    answers: zip([256, 1024], shares).map {
                        .init(length: $0, questions: 20, student: $1, teacher: $0 == 256 ? 0.75 : nil)
                    }))
        }
        let notice = RunNotice(step: 60, stage: "distil", kind: .plateau, text: "it <has> not fallen")
        let events =
            SyntheticRun().events + [recall(0, [0.1, 0.15]), recall(100, [0.45, 0.2]), .notice(.init(notice))]
        try folder.write("run/metrics.jsonl", events.map { JSONValue.object($0.json).text() + "\n" }.joined())
        let parsed = try PageParser(text())
        let rows = parsed.texts("tr").filter { $0.contains("finds a fact") }
        #expect(
            rows == [
                "finds a fact up to 256 tokens back10%45%75%10%", "finds a fact up to 1,024 tokens back15%20%–10%",
            ])
        #expect(parsed.texts("li").contains("distil, step 60: it <has> not fallen"))
        let points = parsed.elements.filter { $0.attributes["class"] == "point" }.map(\.text)
        #expect(points.first == "best 22.00, 1.1 times the teacher's 20.00")
        #expect(points.contains("from position 32 on: student 21.00, teacher 17.00"), "\(points)")
    }

    @Test("the browser reads the page again only while it is kept fresh")
    func refreshing() throws {
        try SyntheticRun().write(to: folder)
        func refreshes() throws -> [String?] {
            try PageParser(String(contentsOfFile: page, encoding: .utf8)).elements
                .filter { $0.attributes["http-equiv"] == "refresh" }.map { $0.attributes["content"] }
        }
        try RunReport(folder: run).write(to: page, refreshing: 5)
        #expect(try refreshes() == ["5"])
        try RunReport(folder: run).write(to: page)
        #expect(try refreshes() == [])
    }

    @Test("a watch waits for a run, shows what is new, and sees how the run ends")
    func watch() throws {
        var watch = ReportWatch(folder: run, path: page)
        #expect(try watch.look() == .waiting)
        try folder.write("run/metrics.jsonl", "")
        #expect(try watch.look() == .waiting && !FileManager.default.fileExists(atPath: page))
        let lines = SyntheticRun().events.map { JSONValue.object($0.json).text() + "\n" }
        let lock = try FileLock(path: "\(run)/.lock")
        try folder.write("run/metrics.jsonl", lines.dropLast(9).joined())
        guard case .running(let bytes) = try watch.look() else { return #expect(Bool(false)) }
        #expect(try bytes ?? 0 > 1000 && text(page).contains("http-equiv"))
        // Nothing new, nothing written.
        let before = try text(page)
        for _ in 0..<6 { #expect(try watch.look() == .running(written: nil)) }
        try folder.write("run/metrics.jsonl", lines.dropLast(2).joined())
        guard case .running(let more?) = try watch.look() else { return #expect(Bool(false)) }
        #expect(try more > 1000 && text(page) != before)
        try folder.write("run/metrics.jsonl", lines.joined())
        #expect(try watch.look() == .ended(reason: "complete") && !text(page).contains("http-equiv"))
        // Another, that is killed.
        lock.remove()
        try folder.write("run/metrics.jsonl", lines.dropLast(3).joined())
        var other = ReportWatch(folder: run, path: page)
        guard case .running = try other.look() else { return #expect(Bool(false)) }
        #expect(
            try [other.look(), other.look(), other.look()] == [.running(written: nil), .running(written: nil), .gone])
        #expect(try !text(page).contains("http-equiv"))
    }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    @Test("what a run does not have is left out")
    func missing() throws {
        func headings(_ isKept: (MetricsEvent) -> Bool) throws -> [String] {
            try SyntheticRun().write(to: folder, keeping: isKept)
            return try PageParser(text()).texts("h2")
        }
        #expect(try headings { if case .start = $0 { true } else { false } } == [])
        #expect(try headings { if case .validation = $0 { true } else { false } } == ["Quality"])
        #expect(try headings { if case .alignment = $0 { true } else { false } } == ["Alignment by layer"])
        #expect(try headings { if case .positions = $0 { true } else { false } } == ["Perplexity by position"])
        #expect(try headings { if case .memory = $0 { true } else { false } } == ["Memory of a sequence"])
        #expect(
            try headings { if case .step = $0 { true } else { false } }
                == ["Training loss", "Learning rate", "Gradient norm", "Throughput", "Stages"])
    }

    @Test("a step that was done twice counts once, and a run that goes on has not ended")
    func resumed() throws {
        let run = SyntheticRun()
        var start = run.events[0]
        if case .start(var record) = start {
            record.resumedFrom = 100
            start = .start(record)
        }
        let lines = (run.events + run.events.dropFirst() + [start]).map { JSONValue.object($0.json).text() + "\n" }
        try folder.write("run/metrics.jsonl", lines.joined())
        let parsed = try PageParser(text())
        #expect(parsed.texts("strong").last == "5 min 30 s")
        #expect(parsed.elements.contains { $0.attributes["class"] == "facts" && $0.text.contains("not ended") })
    }

    @Test("text from files stays text")
    func hostile() throws {
        let hostile = #"</title></pre><script>alert("1")</script>&amp;'<!-- ]]> "# + "\u{1}\u{FFFE}"
        let shown = hostile.replacing("\u{1}", with: "\u{FFFD}").replacing("\u{FFFE}", with: "\u{FFFD}")
        var run = SyntheticRun(teacher: hostile, stages: [hostile, "\(hostile)2"])
        run.steps = 20
        try folder.write(
            "run/metrics.jsonl",
            (run.events + [.end(.init(step: 20, reason: hostile))]).map { JSONValue.object($0.json).text() + "\n" }
                .joined())
        try folder.write("run/config.yaml", hostile)
        let conversion = JSONValue.object([
            "source": .string(hostile), "mixers": [.string(hostile)],
            "reused": ["tensors": 1, "parameters": 1, "percent": 1e300],
        ])
        try folder.write("run/best/conversion.json", conversion.text())
        let parsed = try PageParser(text())
        #expect(!parsed.elements.contains { $0.name == "script" })
        #expect(parsed.texts("h1") == ["\(shown), made recurrent"])
        #expect(parsed.texts("pre") == [shown])
        #expect(parsed.texts("th").contains(shown))
        #expect(parsed.texts("p").contains { $0.contains("From \(shown); layers: 1 \(shown)") })
        #expect(parsed.elements.contains { $0.attributes["class"] == "facts" && $0.text.contains(shown) })
    }

    @Test("the page fetches nothing and runs nothing")
    func offline() throws {
        try SyntheticRun().write(to: folder)
        try addRest()
        let text = try text()
        let parsed = try PageParser(text)
        let fetching: Set = ["src", "href", "xlink:href", "srcset", "action", "data", "style"]
        for element in parsed.elements {
            #expect(fetching.isDisjoint(with: element.attributes.keys), "\(element)")
            #expect(!["script", "link", "img", "iframe", "object", "embed"].contains(element.name), "\(element)")
            #expect(!element.attributes.keys.contains { $0.hasPrefix("on") }, "\(element)")
        }
        let style = try #require(parsed.texts("style").first)
        #expect(!style.contains("url(") && !style.contains("@import"))
        #expect(text.components(separatedBy: "://").count == 2, "only the name of the namespace")
    }

    // MARK: Values that are none, and many

    @Test(
        "everything lies inside its drawing, whatever the values",
        arguments: [
            { 0.5 * exp(-Double($0) / 30) }, { _ in 0.25 }, { _ in .nan }, { $0 == 50 ? .infinity : 1 },
            { $0 % 2 == 0 ? 1e-300 : 1e300 }, { -Double($0) }, { _ in 0 }, { 1e99 * Double($0) / 100 },
            { Double($0) * 1e-90 }, { 1e15 + Double($0) }, { $0 == 7 ? 1e30 : 1e-30 }, { _ in .leastNonzeroMagnitude },
        ] as [@Sendable (Int) -> Double])
    func coordinates(loss: @escaping @Sendable (Int) -> Double) throws {
        var run = SyntheticRun()
        run.loss = loss
        var events = run.events.map { event in
            guard case .validation(var validation) = event, validation.step > 0 else { return event }
            validation.loss = loss(validation.step)
            return MetricsEvent.validation(validation)
        }
        events.append(
            .memory(.init(teacher: .init(constant: .max, perToken: .max), student: .init(constant: 0, perToken: 0))))
        events.append(
            .positions(.init(step: 100, ranges: [0..<1, 1..<Int.max], teacher: nil, student: [loss(1), loss(2)])))
        events.append(.alignment(.init(step: 100, layers: [loss(1), nil, loss(50)])))
        try folder.write("run/metrics.jsonl", events.map { JSONValue.object($0.json).text() + "\n" }.joined())
        try checkCoordinates(PageParser(text()))
    }

    private func checkCoordinates(_ parsed: PageParser) {
        for element in parsed.elements {
            guard let (width, height) = element.drawing else { continue }
            for (names, limit) in [
                (["x", "x1", "x2", "cx", "width"], width), (["y", "y1", "y2", "cy", "height"], height),
            ] {
                for name in names {
                    guard let text = element.attributes[name] else { continue }
                    let value = Double(text) ?? .nan
                    #expect(value >= 0 && value <= limit + 0.01, "\(name) of \(element)")
                }
            }
            for pair in element.attributes["d"]?.split(whereSeparator: { "ML".contains($0) }) ?? []
            where pair != "1 7H21" {
                let numbers = pair.split(separator: " ").map { Double($0) ?? .nan }
                #expect(numbers.count == 2 && numbers[0] >= 0 && numbers[0] <= width, "\(pair)")
                #expect(numbers.count == 2 && numbers[1] >= 0 && numbers[1] <= height, "\(pair)")
            }
        }
    }

    @Test("a run of many steps makes no large page")
    func many() throws {
        var run = SyntheticRun()
        run.steps = 20_000
        try run.write(to: folder)
        let text = try text()
        #expect(text.utf8.count < 600_000)
        checkCoordinates(try PageParser(text))
    }

    // MARK: Files

    @Test func noRun() throws {
        #expect(throws: ReportError.noMetrics(folder: folder.path, reason: "there is no metrics.jsonl in it")) {
            try RunReport(folder: folder.path)
        }
        try folder.write("run/metrics.jsonl", "")
        #expect(throws: ReportError.noMetrics(folder: run, reason: "its metrics.jsonl holds no event yet")) {
            try RunReport(folder: run)
        }
        try folder.write("run/metrics.jsonl", "{}\n")
        #expect(throws: MetricsError.self) { try RunReport(folder: run) }
    }

    @Test func damagedConversion() throws {
        try SyntheticRun().write(to: folder)
        try folder.write("run/student/conversion.json", "{\"reused\":")
        #expect(throws: CheckpointError.self) { try RunReport(folder: run) }
    }

    @Test("an earlier report is replaced, and nothing else")
    func replacing() throws {
        try SyntheticRun().write(to: folder)
        let report = try RunReport(folder: run)
        try report.write(to: page)
        let first = try Data(contentsOf: URL(fileURLWithPath: page))
        #expect(try report.write(to: page) == first.count)
        #expect(try Data(contentsOf: URL(fileURLWithPath: page)) == first)

        let other = try folder.write("other.html", "<!DOCTYPE html>\n<html><p>mine</p></html>")
        #expect(throws: ReportError.occupied(path: other, found: "a file that is not a report of Moult")) {
            try report.write(to: other)
        }
        #expect(try String(contentsOfFile: other, encoding: .utf8).contains("mine"))
        #expect(throws: ReportError.occupied(path: run, found: "a folder")) { try report.write(to: run) }
        #expect(throws: ReportError.occupied(path: "/dev/null", found: "a device")) {
            try report.write(to: "/dev/null")
        }
        let link = "\(folder.path)/link.html"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: page)
        #expect(throws: ReportError.occupied(path: link, found: "a link")) { try report.write(to: link) }
        #expect(throws: MetricsError.self) { try report.write(to: "\(folder.path)/missing/report.html") }
        #expect(folder.contents == ["link.html", "other.html", "report.html", "run", "run/metrics.jsonl"])
    }
}
