/// What a loop or `set` assigns to.
enum TemplateTarget: Sendable {
    case name(String)
    /// A variable of a namespace.
    case attribute(of: String, String)
    case tuple([TemplateTarget])
}
