import CCompression

/// A libzstd that was found when the program ran.
package struct Zstandard: @unchecked Sendable {
    /// The table of functions, which is never freed or changed: safe to share.
    let functions: OpaquePointer

    /// Loads the library by its file name.
    /// - Parameter file: the data that needs it, for the error.
    /// - Throws: ``DataError/missingLibrary(file:library:package:)``.
    package init(library: String = "libzstd.so.1", for file: String) throws {
        guard let functions = moult_zstd_open(library) else {
            throw DataError.missingLibrary(file: file, library: library, package: "libzstd1")
        }
        self.functions = functions
    }

    private static let shared = Result { try Zstandard(for: "") }

    /// The library, loaded once.
    static func loaded(for file: String) throws -> Zstandard {
        if case .success(let zstandard) = shared { zstandard } else { try Zstandard(for: file) }
    }

    /// What a code returned by the library means; nil when it is no error.
    func error(_ code: Int) -> String? { moult_zstd_error(functions, code).map { String(cString: $0) } }

    /// Decompresses whole frames to exactly `size` bytes.
    func decompress(_ input: ArraySlice<UInt8>, size: Int, file: String, place: DataPlace) throws -> [UInt8] {
        var code = 0
        let output = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            code = input.withUnsafeBytes {
                moult_zstd_decompress(functions, buffer.baseAddress, size, $0.baseAddress, $0.count)
            }
            count = error(code) == nil ? code : 0
        }
        if let reason = error(code) {
            throw DataError.compression(file: file, place: place, codec: "zstd", reason: reason)
        }
        guard output.count == size else {
            throw DataError.compression(
                file: file, place: place, codec: "zstd", reason: "\(output.count) bytes instead of \(size)")
        }
        return output
    }
}
