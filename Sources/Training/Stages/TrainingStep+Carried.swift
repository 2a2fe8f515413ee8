import Checkpoints
import Models
import Tensors

/// Rows that go on with those before them.
extension TrainingStep {
    /// Turns to the rows of `batches`, where they are such.
    func turn(to batches: [TrainingBatch]) throws {
        guard let place = batches.first?.carried else { return }
        if carried.isEmpty {
            carried = try batches.enumerated().map { try makeRows(of: $1, number: $0, among: batches.count) }
        }
        for (rows, batch) in zip(carried, batches) {
            try rows.begin(before: batch.carried?.before ?? [], position: place.index * batch.inputs[0].count)
        }
        guard objective.isTaught, taught?.group != place.group else { return }
        taught = nil
        taught = (place.group, try batches.compactMap { try objective.teach($0.carried?.whole ?? []) })
    }

    private func makeRows(of batch: TrainingBatch, number: Int, among batches: Int) throws -> CarriedRows {
        let rows = try student.model().makeCarriedRows(
            rows: batch.inputs.count, length: batch.inputs[0].count, count: objective.stage.carry)
        guard !restored.isEmpty else { return rows }
        var snapshot = StateSnapshot(position: 0)
        let prefix = "\(place(of: number, among: batches))."
        for (name, tensor) in restored where name.hasPrefix(prefix) {
            try snapshot.append(String(name.dropFirst(prefix.count)), tensor)
        }
        try rows.restore(snapshot)
        return rows
    }

    /// The teacher's final hidden states (B, T, D) of the batch `index`, where it has read longer rows.
    func target(_ index: Int, _ batch: TrainingBatch) throws -> Tensor? {
        guard let place = batch.carried, let taught else { return nil }
        let length = batch.inputs[0].count
        return try taught.hidden[index].stretch(from: place.index * length, count: length)
    }

    /// The batch `index` on the device that trains, with what its rows go on with.
    func tensors(of batch: TrainingBatch, _ index: Int) throws -> BatchTensors {
        try BatchTensors(
            batch, on: student.device, carried: carried.isEmpty ? nil : carried[index], target: target(index, batch))
    }

    /// A batch's place among those of all ranks.
    private func place(of number: Int, among batches: Int) -> Int { team.rank * batches + number }

    /// What the next rows of all ranks take over, by name, where files are written; on other ranks their own.
    func snapshot() throws -> [(name: String, tensor: Tensor)] {
        let own = try carried.enumerated().flatMap { number, rows in
            try rows.snapshot().tensors.map { (name: "\(number).\($0.name)", tensor: try $0.value.to(.cpu)) }
        }
        return try (0..<team.ranks).flatMap { rank in
            try own.map { name, tensor in
                let number = Int(name.prefix { $0 != "." }) ?? 0, rest = name.drop { $0 != "." }
                return (
                    name: "\(rank * carried.count + number)\(rest)", tensor: try team.tensor(tensor, of: rank)
                )
            }
        }
    }
}
