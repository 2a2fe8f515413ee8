import Models
import Tensors

/// The error feedback of a layer's maps. Maps of one input share it: it is made when the first of them is rounded and let go
/// after the last, so that there is not one for each of many experts at a time.
struct LayerFeedback {
    private struct Group {
        var moment: InputMoment?
        var feedback: ErrorFeedback?
        var remaining: Int
    }
    private var groups: [Group] = []
    private var places: [String: Int] = [:]

    /// - Parameter groupSize: what the inputs of a map that is rounded are a multiple of.
    init(_ inputs: LinearInputs, groupSize: Int) {
        for (maps, moment) in inputs.moments where moment.inputs % groupSize == 0 {
            for map in maps { places["\(map).weight"] = groups.count }
            groups.append(Group(moment: moment, feedback: nil, remaining: maps.count))
        }
    }

    /// That of the weight `name`, which is asked for once; nil for a map that no row has reached.
    mutating func take(_ name: String) throws -> ErrorFeedback? {
        guard let place = places[name] else { return nil }
        if let moment = groups[place].moment {
            groups[place].feedback = try ErrorFeedback(moment)
            groups[place].moment = nil
        }
        groups[place].remaining -= 1
        let feedback = groups[place].feedback
        if groups[place].remaining == 0 { groups[place].feedback = nil }
        return feedback
    }
}
