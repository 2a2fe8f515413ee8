import Foundation
import Testing
import Text

@Suite struct OrderedMapTests {
    /// The first item cannot end before the second has: both run at once, and still come in order.
    @Test func runsAtOnceAndKeepsTheOrder() throws {
        let secondIsDone = DispatchSemaphore(value: 0)
        let map = OrderedMap<Int, String>(threads: 2) { item in
            if item == 0 {
                let result = secondIsDone.wait(timeout: .now() + 60)
                return result == .success ? "first" : "the second did not run meanwhile"
            }
            secondIsDone.signal()
            return "second"
        }
        defer { map.stop() }
        map.submit(0)
        map.submit(1)
        #expect(map.underWay == 2)
        #expect(try [map.collect(), map.collect(), map.collect()] == ["first", "second", nil])
        #expect(map.underWay == 0)
    }

    @Test(arguments: [1, 3])
    func errorsBelongToTheirItem(threads: Int) throws {
        struct Odd: Error {}
        let map = OrderedMap<Int, Int>(threads: threads) { item in
            guard item % 2 == 0 else { throw Odd() }
            return item
        }
        defer { map.stop() }
        for item in 0..<100 { map.submit(item) }
        for item in 0..<100 {
            if item % 2 == 0 {
                #expect(try map.collect() == item)
            } else {
                #expect(throws: Odd.self) { try map.collect() }
            }
        }
    }
}
