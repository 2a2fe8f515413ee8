import Records

extension MetricsEvent.Selection {
    /// What a selection at `step` gave.
    public init(_ result: HeadSelection.Result, step: Int) {
        self.init(
            step: step, teacher: result.teacher.recall, student: result.student.recall, chosen: result.chosen,
            rounds: result.rounds)
    }
}
