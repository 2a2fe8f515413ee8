/// The program.
public enum Moult {
    /// The version, as `moult --version` prints it.
    public static let version = "0.1.0"
}
