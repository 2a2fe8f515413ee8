/// One message of a conversation.
public struct ChatMessage: Sendable, Equatable, Codable {
    /// Who speaks, as templates name them.
    public enum Role: String, Sendable, Codable { case system, user, assistant }

    /// Who speaks.
    public var role: Role
    /// What is said, without the marks of a template.
    public var content: String

    /// What `role` says.
    public init(_ role: Role, _ content: String) { (self.role, self.content) = (role, content) }
}
