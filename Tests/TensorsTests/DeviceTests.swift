import Tensors
import Testing

extension TensorsTests {
    @Suite("Devices are values") struct DeviceTests {
        @Test("with names that are read back")
        func names() {
            #expect([Device.cpu, .cuda, .cuda(0), .cuda(1)].map(\.description) == ["cpu", "cuda", "cuda", "cuda:1"])
            #expect(["cpu", "cuda", "cuda:0", "cuda:12"].map(Device.init) == [.cpu, .cuda, .cuda, .cuda(12)])
            for text in ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:+1", "cuda: 1", "cuda:1:2", "cpu:0", "cuda:x"] {
                #expect(Device(text) == nil, "\(text)")
            }
            #expect(Device("cuda:99999999999999999999") == nil)
        }

        @Test("compute in the precision that is theirs, and say which")
        func precisions() throws {
            #expect(try Device.cpu.precision(nil) == .float32 && Device.cuda.precision(nil) == .bfloat16)
            #expect(try Device.cuda(1).precision(.bfloat16) == .bfloat16)
            #expect(throws: TensorError.precision(.float32, device: .cuda(1))) {
                try Device.cuda(1).precision(.float32)
            }
            let error = #expect(throws: TensorError.self) { try Device.cpu.precision(.bfloat16) }
            #expect(error?.description == "cpu does not compute in bf16; expected f32")
        }

        @Test("the processor records no work")
        func recording() {
            #expect(throws: TensorError.self) { try Device.cpu.record {} }
        }
    }
}
