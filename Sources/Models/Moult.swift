/// The program.
public enum Moult {
    public static let version = "0.1.0"
}
