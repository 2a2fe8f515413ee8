import Foundation

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Reads a page as XML, which refuses anything that is not well-formed, and keeps what the tests look at.
final class PageParser: NSObject, XMLParserDelegate {
    struct Element {
        var name: String
        var attributes: [String: String]
        var text = ""
        /// The drawing that the element is in: its width and height.
        var drawing: (width: Double, height: Double)?
    }

    private(set) var elements: [Element] = []
    private var open: [Int] = []

    init(_ page: String) throws {
        super.init()
        let parser = XMLParser(data: Data(page.utf8))
        parser.delegate = self
        guard parser.parse() else {
            throw Refusal(reason: "line \(parser.lineNumber): \(String(describing: parser.parserError))")
        }
    }

    struct Refusal: Error { let reason: String }

    /// The texts of all elements of a name, in order, those of the elements in them included.
    func texts(_ name: String) -> [String] { elements.filter { $0.name == name }.map(\.text) }

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
    ) {
        var drawing = open.last.flatMap { elements[$0].drawing }
        if name == "svg" {
            let box = attributes["viewBox"]?.split(separator: " ").compactMap { Double($0) } ?? []
            drawing = box.count == 4 ? (box[2], box[3]) : nil
        }
        open.append(elements.count)
        elements.append(Element(name: name, attributes: attributes, drawing: drawing))
    }

    func parser(_ parser: XMLParser, didEndElement: String, namespaceURI: String?, qualifiedName: String?) {
        open.removeLast()
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) {
        for index in open { elements[index].text += text }
    }
}
