import Checkpoints
import Generation
import Support
import Testing

/// What generation_config.json says, as transformers takes it.
@Suite struct SamplingDefaultsTests {
    @Test func whatIsSaid() {
        let llama: JSONObject = [
            "do_sample": true, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [128001, 128009],
        ]
        #expect(SamplingDefaults(llama) == SamplingDefaults(temperature: 0.6, topK: 50, topP: 0.9))
        let qwen: JSONObject = [
            "do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05,
        ]
        #expect(
            SamplingDefaults(qwen)
                == SamplingDefaults(temperature: 0.7, topK: 20, topP: 0.8, repetitionPenalty: 1.05))
        #expect(SamplingDefaults(["do_sample": true, "top_k": 0]) == SamplingDefaults(temperature: 1, topK: nil))
        #expect(SamplingDefaults(["do_sample": false, "temperature": 0.6]) == .greedy)
        #expect(SamplingDefaults(["top_p": 0.9])?.temperature == 1)
        #expect(SamplingDefaults(["eos_token_id": 2]) == nil)
        #expect(SamplingDefaults(["temperature": -1, "top_p": "x"]) == nil)
    }
}
