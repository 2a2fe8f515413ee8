import Foundation
import Tensors

/// A tensor of a fixture that Tools/fixtures/mixers.py wrote: a shape and little-endian float32 in base64.
struct FixtureTensor: Decodable {
    var shape: [Int]
    var data: Data

    var tensor: Tensor {
        get throws {
            let values = stride(from: 0, to: data.count, by: 4).map { start in
                Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(data[start + $1]) << UInt32(8 * $1) })
            }
            return try Tensor(values, shape: shape)
        }
    }
}

/// One case of attention.json: torch's scaled_dot_product_attention.
struct AttentionFixture: Decodable {
    var q, k, v, out: FixtureTensor
    var scale: Float
    var window: Int?
    var span: AttentionSpan { AttentionSpan(window: window) }
    var documents: [Int]?
}

/// One case of gated_slot_attention.json: flash-linear-attention's naive recurrence.
struct GatedSlotFixture: Decodable {
    var q, k, v, logGates, keys, values, out, finalKeys, finalValues: FixtureTensor
    var scale: Float
}

/// One case of attention_backward.json: torch's gradients of q, k and v.
struct AttentionBackwardFixture: Decodable {
    var q, k, v, out, gradient: FixtureTensor
    var gradients: [FixtureTensor]
    var scale: Float
    var window: Int?
    var span: AttentionSpan { AttentionSpan(window: window) }
    var documents: [Int]?
}

/// One case of gated_slot_attention_backward.json: torch's gradients of q, k, v, log gates and initial state through
/// flash-linear-attention's naive recurrence.
struct GatedSlotBackwardFixture: Decodable {
    var q, k, v, logGates, keys, values, gradient, finalKeysGradient, finalValuesGradient: FixtureTensor
    var gradients: [FixtureTensor]
    var scale: Float
}

/// The cases of a fixture file of this target.
func fixture<Case: Decodable>(_ name: String, of type: Case.Type = Case.self) throws -> [Case] {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/\(name).json")
    return try JSONDecoder().decode([Case].self, from: Data(contentsOf: file))
}
