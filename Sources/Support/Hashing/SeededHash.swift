/// A 64-bit hash of a few numbers, for choices that depend on a seed and on nothing else.
package func seededHash(_ values: UInt64...) -> UInt64 {
    values.reduce(0) { SplitMix64.mixed(($0 ^ $1) &+ SplitMix64.increment) }
}
