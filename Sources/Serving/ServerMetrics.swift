import Generation
import Synchronization

/// What /metrics tells: Prometheus' text format, with vLLM's names behind `moult:`.
final class ServerMetrics: Sendable {
    private struct State {
        var finished: [String: Int] = [:]
        var histograms = Dictionary(uniqueKeysWithValues: Duration.allCases.map { ($0, Histogram(bounds: $0.bounds)) })
    }

    /// What is measured of every request.
    enum Duration: String, CaseIterable {
        case firstToken = "time_to_first_token_seconds"
        case betweenTokens = "inter_token_latency_seconds"
        case whole = "e2e_request_latency_seconds"
        case queue = "request_queue_time_seconds"
        case prefill = "request_prefill_time_seconds"
        case promptTokens = "request_prompt_tokens"
        case generatedTokens = "request_generation_tokens"

        var bounds: [Double] {
            switch self {
            case .promptTokens, .generatedTokens: [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]
            case .betweenTokens: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
            default: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
            }
        }
    }

    private struct Histogram {
        let bounds: [Double]
        var counts: [Int]
        var sum = 0.0

        init(bounds: [Double]) { (self.bounds, counts) = (bounds, [Int](repeating: 0, count: bounds.count + 1)) }

        mutating func add(_ value: Double) {
            counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
            sum += value
        }
    }

    private let state = Mutex(State())

    func record(_ duration: Duration, _ value: Double) { state.withLock { $0.histograms[duration]?.add(value) } }

    func finished(_ reason: String) { state.withLock { $0.finished[reason, default: 0] += 1 } }

    /// A model, as it is told of.
    struct Model {
        let name: String
        let metrics: ServerMetrics
        let statistics: SchedulerStatistics
        let isLoaded: Bool
        /// Of its weights.
        let bytes: Int
        /// How often it was loaded.
        let loads: Int
    }

    /// The text: what there is of each metric stands together, a line or more for each model.
    static func text(_ models: [Model]) -> String {
        var text = ""
        func metric(_ name: String, _ kind: String, _ help: String, _ value: (Model) -> Int) {
            text += "# HELP moult:\(name) \(help)\n# TYPE moult:\(name) \(kind)\n"
            for model in models { text += "moult:\(name){\(label(model))} \(value(model))\n" }
        }
        func scheduler(_ name: String, _ kind: String, _ help: String, _ value: KeyPath<SchedulerStatistics, Int>) {
            metric(name, kind, help) { $0.statistics[keyPath: value] }
        }
        metric("model_loaded", "gauge", "Whether the model is in memory.") { $0.isLoaded ? 1 : 0 }
        metric("model_loads_total", "counter", "How often the model was loaded.", \.loads)
        metric("model_bytes", "gauge", "Bytes that the model's weights take when it is in memory.", \.bytes)
        scheduler("num_requests_running", "gauge", "Prompts being read and texts being continued.", \.running)
        scheduler("num_requests_waiting", "gauge", "Requests that wait.", \.waiting)
        scheduler("prompt_tokens_total", "counter", "Tokens of prompts that were read.", \.promptTokens)
        scheduler("generation_tokens_total", "counter", "Tokens that were generated.", \.generatedTokens)
        scheduler("prefix_cache_queries", "counter", "Prompts that could go on from a state.", \.lookups)
        scheduler("prefix_cache_hits", "counter", "Prompts that went on from a state.", \.hits)
        scheduler("prefix_tokens_reused_total", "counter", "Tokens of prompts that states had read.", \.cachedTokens)
        scheduler("decode_steps_total", "counter", "Steps of the batch.", \.steps)
        scheduler("decode_step_tokens_total", "counter", "Tokens of all steps.", \.stepTokens)
        scheduler("snapshots", "gauge", "States that are kept.", \.states)
        scheduler("snapshot_bytes", "gauge", "Bytes of states that are kept.", \.stateBytes)
        scheduler("disk_hits_total", "counter", "Prompts that went on from a state on the disk.", \.diskHits)
        scheduler("disk_snapshots", "gauge", "States on the disk.", \.diskStates)
        scheduler("disk_snapshot_bytes", "gauge", "Bytes of states on the disk.", \.diskStateBytes)
        scheduler(
            "state_bytes_per_sequence", "gauge", "Bytes of the largest state of the last step.", \.sequenceBytes)
        text += "# HELP moult:request_success_total Continuations by how they ended.\n"
        text += "# TYPE moult:request_success_total counter\n"
        let measured = models.map { model in model.metrics.state.withLock { (label(model), $0.finished, $0.histograms) }
        }
        for (label, finished, _) in measured {
            for (reason, count) in finished.sorted(by: { $0.key < $1.key }) {
                text += "moult:request_success_total{finished_reason=\"\(reason)\",\(label)} \(count)\n"
            }
        }
        for duration in Duration.allCases {
            let name = "moult:\(duration.rawValue)"
            text += "# HELP \(name) Of each request.\n# TYPE \(name) histogram\n"
            for (label, _, histograms) in measured {
                guard let histogram = histograms[duration] else { continue }
                var total = 0
                for (bound, count) in zip(histogram.bounds.map { "\($0)" } + ["+Inf"], histogram.counts) {
                    total += count
                    text += "\(name)_bucket{le=\"\(bound)\",\(label)} \(total)\n"
                }
                text += "\(name)_sum{\(label)} \(histogram.sum)\n\(name)_count{\(label)} \(total)\n"
            }
        }
        return text
    }

    private static func label(_ model: Model) -> String { "model_name=\"\(escaped(model.name))\"" }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
