import ArgumentParser
import CSupport
import Communication
import Foundation

/// The processes of this host that train together, started by one command, which waits for them and hands on signals.
struct LocalRanks {
    let launches: [Launch]

    /// For others to end by themselves after one that has ended otherwise than well, and to say why.
    private static let patience = Duration.seconds(10)

    /// Runs this program once more for every rank.
    /// - Throws: an exit with the code of the first rank that ended otherwise than well; where none has said why, what the rank was
    ///   ended by.
    func run() throws {
        Interrupt.hold()
        var processes: [(rank: Int, identifier: pid_t)] = []
        defer { for process in processes { kill(process.identifier, SIGKILL) } }
        for launch in launches { processes.append((launch.place.rank, try start(launch))) }
        var (codes, killed, isPassedOn): ([Int32], (rank: Int, signal: Int32)?, Bool) = ([], nil, false)
        var end: ContinuousClock.Instant?
        while !processes.isEmpty {
            do { try Interrupt.check() } catch let code as ExitCode where !isPassedOn {
                isPassedOn = true
                for process in processes { kill(process.identifier, code.rawValue - 128) }
            } catch {}
            processes.removeAll { process in
                var status: Int32 = 0
                guard waitpid(process.identifier, &status, WNOHANG) != 0 else { return false }
                let signal = status & 0x7F
                codes.append(signal == 0 ? status >> 8 & 0xFF : 128 + signal)
                if signal != 0 { killed = killed ?? (process.rank, signal) }
                if status != 0, !isPassedOn { end = end ?? .now + Self.patience }
                return true
            }
            // Who has not met the others, or is busy, does not know of it.
            if let end, end <= .now { break }
            usleep(10_000)
        }
        let silent = RankOptions.silentFailure.rawValue
        // One that was killed is the cause; how the others ended says what it was, unless none has.
        if let code = codes.first(where: { (1..<128).contains($0) && $0 != silent }) { throw ExitCode(code) }
        if let killed, !isPassedOn {
            throw Failure("rank \(killed.rank) was ended by signal \(killed.signal)")
        }
        if let code = codes.first(where: { $0 != 0 }) { throw ExitCode(code == silent ? 1 : code) }
    }

    private func start(_ launch: Launch) throws -> pid_t {
        var (actions, attributes) = (posix_spawn_file_actions_t(), posix_spawnattr_t())
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        // A group of their own: a terminal's signals come to this process, which hands them on.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        var environment = ProcessInfo.processInfo.environment.merging(launch.variables) { $1 }
        // The ranks share the processor's cores.
        let threads = max(1, ProcessInfo.processInfo.activeProcessorCount / launches.count)
        environment["MOULT_THREADS"] = environment["MOULT_THREADS"] ?? "\(threads)"
        var identifier: pid_t = 0
        let result = withStrings(CommandLine.arguments) { arguments in
            withStrings(environment.map { "\($0.key)=\($0.value)" }) { environment in
                posix_spawn(&identifier, "/proc/self/exe", &actions, &attributes, arguments, environment)
            }
        }
        guard result == 0 else {
            throw Failure("rank \(launch.place.rank) cannot be started: \(String(cString: strerror(result)))")
        }
        return identifier
    }

    private func withStrings<Result>(
        _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let strings = texts.map { strdup($0) }
        defer { for string in strings { free(string) } }
        return body(strings + [nil])
    }
}
