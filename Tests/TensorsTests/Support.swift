import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

/// The suites that switch kernels, threads or oneDNN are nested here, so that no two of them run at once. `make test`
/// (scripts/run-tests) runs them in a process of their own: others compare to the bit.
@Suite(.serialized, .switchesProcess) enum KernelTests {}

/// One way to run the kernels.
struct KernelChoice: Sendable, CustomStringConvertible {
    var set: String
    var threads: Int
    var oneDNN: Bool

    var description: String { "\(set), \(threads) threads, oneDNN \(oneDNN)" }

    /// Every instruction set of this machine, with 1 and 2 threads, oneDNN on and off.
    static var all: [KernelChoice] {
        sets.flatMap { set in
            [1, 2].flatMap { threads in
                [true, false].map { KernelChoice(set: set, threads: threads, oneDNN: $0) }
            }
        }
    }

    /// Every instruction set of this machine.
    static var sets: [String] {
        (0...).lazy.map { moult_kernels_available($0) }.prefix { $0 != nil }.compactMap {
            $0.map { String(cString: $0) }
        }
    }

    func run(_ body: () throws -> Void) throws {
        #expect(moult_select_kernels(set))
        moult_set_threads(Int32(threads))
        moult_use_onednn(oneDNN)
        defer {
            moult_select_kernels(nil)
            moult_set_threads(0)
            moult_use_onednn(true)
        }
        try body()
    }
}

/// Runs `body` once per way of running the kernels.
func withEveryKernel(_ body: (KernelChoice) throws -> Void) throws {
    for choice in KernelChoice.all { try choice.run { try body(choice) } }
}

/// A small generator, so that every run sees the same numbers.
struct Random {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    /// Uniform in [-1, 1).
    mutating func float() -> Float { Float(next() >> 40) / Float(1 << 23) - 1 }
    mutating func floats(_ count: Int, scale: Float = 1) -> [Float] { (0..<count).map { _ in float() * scale } }
    mutating func tensor(_ shape: [Int], _ dtype: DType = .float32, scale: Float = 1) throws -> Tensor {
        try Tensor(floats(shape.reduce(1, *), scale: scale), shape: shape).converted(to: dtype)
    }
}

/// The elements of a floating-point tensor as float64.
func doubles(_ tensor: Tensor) throws -> [Double] {
    try tensor.converted(to: .float32).array(Float.self).map(Double.init)
}

/// Fails unless |found - expected| ≤ tolerance · max(1, |expected|) everywhere.
func expectClose(
    _ found: [Double], _ expected: [Double], _ tolerance: Double, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    guard found.count == expected.count else {
        Issue.record("\(what): \(found.count) elements, expected \(expected.count)", sourceLocation: sourceLocation)
        return
    }
    let worst = found.indices.map { i -> Double in
        found[i] == expected[i] ? 0 : abs(found[i] - expected[i]) / max(1, abs(expected[i]))
    }.enumerated().max { $0.element < $1.element || $1.element.isNaN }
    if let worst, !(worst.element <= tolerance) {
        Issue.record(
            "\(what): element \(worst.offset) is \(found[worst.offset]), expected \(expected[worst.offset])",
            sourceLocation: sourceLocation)
    }
}

/// Fails unless |found - expected| ≤ tolerance · max(0.03, max |expected|) everywhere: for gradients, whose size varies
/// widely. The least scale is for those that are sums of numbers near 1 which cancel.
func expectCloseInScale(
    _ found: [Double], _ expected: [Double], _ tolerance: Double, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let scale = max(0.03, expected.map(abs).max() ?? 0)
    expectClose(
        found.map { $0 / scale }, expected.map { $0 / scale }, tolerance, "\(what), in units of \(scale)",
        sourceLocation: sourceLocation)
}
