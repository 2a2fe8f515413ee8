import ArgumentParser

@main
struct Moult: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "moult", abstract: "Turn a pretrained Transformer into a recurrent model and run it with constant memory.")
}
