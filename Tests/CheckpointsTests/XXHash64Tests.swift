import Checkpoints
import Foundation
import Support
import Testing

@Suite struct XXHash64Tests {
    @Test func knownHashes() {
        #expect(XXHash64.text(Data()) == "ef46db3751d8e999")
        #expect(XXHash64.text(Data("abc".utf8)) == "44bc2cf5ad770999")
        // 101 bytes: every kind of step; from the reference implementation.
        #expect(XXHash64.text(Data((0..<101).map { UInt8($0) })) == "e99038495f85381e")
    }
}
