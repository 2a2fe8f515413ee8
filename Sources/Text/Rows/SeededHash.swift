import Support

/// A 64-bit hash of a few numbers (the finaliser of SplitMix64, Steele et al. 2014), for choices that depend on a seed
/// and on nothing else.
func seededHash(_ values: UInt64...) -> UInt64 {
    values.reduce(0) { hash, value in
        var mixed = (hash ^ value) &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
