import CKernels
import Foundation
import Synchronization
import Tensors
import Testing

/// What the pool's bodies write to: how often each index was visited.
private final class Visits: Sendable {
    let total = Atomic<Int>(0)
    let calls = Atomic<Int>(0)
}

private func visits(_ context: UnsafeMutableRawPointer?) -> Visits? {
    context.map { Unmanaged<Visits>.fromOpaque($0).takeUnretainedValue() }
}

private let count: moult_body = { context, begin, end, _ in
    visits(context)?.total.add(Int(end * (end - 1) / 2 - begin * (begin - 1) / 2), ordering: .relaxed)
}

private let nested: moult_body = { context, begin, end, _ in
    for _ in begin..<end { moult_parallel_for(10, 1, count, context) }
}

extension KernelTests {
    @Suite struct PoolTests {
        @Test(arguments: [1, 2, 3, 8])
        func coversEveryIndexOnce(_ threads: Int32) {
            moult_set_threads(threads)
            defer { moult_set_threads(0) }
            let seen = Visits()
            withExtendedLifetime(seen) {
                for length in Int64(0)...300 {
                    for grain in [Int64(1), 7, 1000] {
                        let before = seen.total.load(ordering: .relaxed)
                        moult_parallel_for(length, grain, count, Unmanaged.passUnretained(seen).toOpaque())
                        let after = seen.total.load(ordering: .relaxed)
                        #expect(after - before == Int(length * (length - 1) / 2))
                    }
                }
            }
        }

        @Test func manySmallHandOffs() {
            let seen = Visits()
            withExtendedLifetime(seen) {
                for _ in 0..<100_000 { moult_parallel_for(8, 1, count, Unmanaged.passUnretained(seen).toOpaque()) }
            }
            #expect(seen.total.load(ordering: .relaxed) == 2_800_000)
        }

        @Test func nestedCallsRunInline() {
            let seen = Visits()
            withExtendedLifetime(seen) {
                for _ in 0..<1000 { moult_parallel_for(20, 1, nested, Unmanaged.passUnretained(seen).toOpaque()) }
            }
            #expect(seen.total.load(ordering: .relaxed) == 1000 * 20 * 45)
        }

        @Test func concurrentCallersAllFinish() async {
            let seen = Visits()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        for _ in 0..<5000 {
                            moult_parallel_for(30, 1, nested, Unmanaged.passUnretained(seen).toOpaque())
                        }
                    }
                }
            }
            #expect(seen.total.load(ordering: .relaxed) == 6 * 5000 * 30 * 45)
        }

        @Test func workersWakeAfterSleeping() throws {
            let seen = Visits()
            withExtendedLifetime(seen) {
                for _ in 0..<50 {
                    usleep(2000)
                    moult_parallel_for(100, 1, count, Unmanaged.passUnretained(seen).toOpaque())
                }
            }
            #expect(seen.total.load(ordering: .relaxed) == 50 * 4950)
        }
    }

    @Suite struct DispatchTests {
        @Test func unknownSetsAreRefused() {
            let before = String(cString: moult_kernels_name())
            #expect(!moult_select_kernels("sse9"))
            #expect(String(cString: moult_kernels_name()) == before)
        }

        @Test func everyAvailableSetCanBeChosen() throws {
            try withEveryKernel { choice in
                #expect(String(cString: moult_kernels_name()) == choice.set)
                #expect(CPUBackend.shared.name.hasPrefix("cpu (\(choice.set)"))
                #expect(moult_onednn_version() == nil || choice.oneDNN)
            }
        }
    }
}
