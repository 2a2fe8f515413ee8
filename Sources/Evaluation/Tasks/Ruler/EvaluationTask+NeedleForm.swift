extension EvaluationTask {
    /// What a task of needles in a haystack is made of, as published; nil for other tasks.
    var needleForm: NeedleForm? {
        switch self {
        case .needleSingle1: NeedleForm(haystack: .noise)
        case .needleSingle2: NeedleForm(haystack: .essay)
        case .needleSingle3: NeedleForm(haystack: .essay, values: .uuids)
        case .needleMultikey1: NeedleForm(haystack: .essay, keyCount: 4)
        case .needleMultikey2: NeedleForm(haystack: .needles)
        case .needleMultikey3: NeedleForm(haystack: .needles, keys: .uuids, values: .uuids)
        case .needleMultivalue: NeedleForm(haystack: .essay, valueCount: 4)
        case .needleMultiquery: NeedleForm(haystack: .essay, keyCount: 4, queryCount: 4)
        default: nil
        }
    }
}
