/// What has started this process, as far as its environment tells: where it stands among the ranks of a run.
public struct Launch: Sendable, Equatable {
    /// What starts processes.
    public enum Launcher: String, Sendable {
        /// `moult train --gpus N` or `--ranks N`, which starts the processes of a host itself.
        case moult
        /// PyTorch's torchrun.
        case torchrun
        /// Open MPI's mpirun; Kubeflow's MPIJob.
        case openMPI = "Open MPI"
        /// MPICH's mpirun and Intel MPI's.
        case mpich = "MPICH"
        /// Slurm's srun.
        case slurm = "srun"
        /// Kubeflow's PyTorchJob of version 1, and Alibaba's DLC: the variables are those of a pod.
        case pytorchJob = "PyTorchJob"
        /// Kubeflow's Trainer of version 2: the variables are those of a pod.
        case kubeflowTrainer = "Kubeflow Trainer"
        /// An Indexed Job of Kubernetes.
        case indexedJob = "Kubernetes Indexed Job"
        /// Ray Train, and whoever else sets RANK, WORLD_SIZE and LOCAL_RANK.
        case ray = "Ray Train"
    }

    /// What has started the process.
    public var launcher: Launcher
    /// Among all processes.
    public var place: RankPlace
    /// Among the processes of this host.
    public var localRank: Int
    /// Processes of this host.
    public var localRanks: Int

    /// This launch's part of a host, of which it is the only process: one of `count` processes that are started on each.
    public func divided(into count: Int) -> [Launch] {
        (0..<count).map { local in
            var launch = self
            (launch.place.rank, launch.place.ranks) = (place.rank * count + local, place.ranks * count)
            (launch.localRank, launch.localRanks) = (local, count)
            return launch
        }
    }

    /// Which of the host's devices of a kind is this process's: that of its number on the host, or the only one that it sees.
    public func deviceIndex(_ environment: [String: String]) -> Int {
        let visible = environment["CUDA_VISIBLE_DEVICES"]?.split(separator: ",").count
        return visible == 1 ? 0 : localRank
    }
}

extension Launch {
    /// The variables by which `moult train` tells a process that it has started where it stands.
    public var variables: [String: String] {
        [
            "MOULT_RANK": "\(place.rank)", "MOULT_RANKS": "\(place.ranks)", "MOULT_LOCAL_RANK": "\(localRank)",
            "MOULT_LOCAL_RANKS": "\(localRanks)", "MOULT_ADDRESS": place.address, "MOULT_PORT": "\(place.port)",
            "MOULT_LAUNCHER": launcher.rawValue,
        ]
    }

    /// Finds out who has started a process with `environment`; nil when nobody has who starts several. The first of these that
    /// there is counts: our own variables, torchrun's, Open MPI's, MPICH's, Slurm's, a PyTorchJob's, Kubeflow Trainer's, those of
    /// an Indexed Job, Ray's.
    /// - Throws: ``CommunicationError/launch(name:expected:found:)`` for variables that contradict each other, or lack one that
    ///   cannot be guessed.
    public static func detect(_ environment: [String: String]) throws -> Launch? {
        let variables = LaunchVariables(environment)
        for detect in [
            moult, torchrun, openMPI, mpich, slurm, pytorchJob, kubeflowTrainer, indexedJob, ray,
        ] {
            guard let launch = try detect(variables) else { continue }
            return try launch.checked()
        }
        return nil
    }

    private func checked() throws -> Launch {
        func require(_ holds: Bool, _ what: String, _ expected: String, _ found: Int) throws {
            guard !holds else { return }
            throw CommunicationError.launch(
                name: "\(launcher.rawValue): \(what)", expected: expected, found: "\(found)")
        }
        try require(place.ranks >= 1, "ranks", "1 or more", place.ranks)
        try require((0..<place.ranks).contains(place.rank), "rank", "0 to \(place.ranks - 1)", place.rank)
        try require(
            (1...place.ranks).contains(localRanks), "ranks of this host", "1 to \(place.ranks)", localRanks)
        try require((0..<localRanks).contains(localRank), "rank on this host", "0 to \(localRanks - 1)", localRank)
        try require((1...65535).contains(place.port), "port", "1 to 65535", place.port)
        return self
    }

    // MARK: The launchers

    private static func moult(_ variables: LaunchVariables) throws -> Launch? {
        guard let rank = try variables.integer("MOULT_RANK") else { return nil }
        return Launch(
            launcher: variables["MOULT_LAUNCHER"].flatMap { Launcher(rawValue: $0) } ?? .moult,
            place: RankPlace(
                rank: rank, ranks: try variables.required("MOULT_RANKS", beside: "MOULT_RANK"),
                address: variables["MOULT_ADDRESS"] ?? "127.0.0.1",
                port: try variables.required("MOULT_PORT", beside: "MOULT_RANK")),
            localRank: try variables.required("MOULT_LOCAL_RANK", beside: "MOULT_RANK"),
            localRanks: try variables.required("MOULT_LOCAL_RANKS", beside: "MOULT_RANK"))
    }

    private static func torchrun(_ variables: LaunchVariables) throws -> Launch? {
        try variables["TORCHELASTIC_RUN_ID"] == nil ? nil : process(variables, .torchrun)
    }

    private static func ray(_ variables: LaunchVariables) throws -> Launch? { try process(variables, .ray) }

    /// RANK, WORLD_SIZE and LOCAL_RANK of a process. A server of PyTorch's may listen at MASTER_PORT, torchrun's own or that of Ray's
    /// TorchTrainer, so that the next one is taken.
    private static func process(_ variables: LaunchVariables, _ launcher: Launcher) throws -> Launch? {
        guard let rank = try variables.integer("RANK"), let local = try variables.integer("LOCAL_RANK") else {
            return nil
        }
        let ranks = try variables.required("WORLD_SIZE", beside: "RANK")
        return Launch(
            launcher: launcher,
            place: RankPlace(
                rank: rank, ranks: ranks, address: try variables.address(isLocal: false),
                port: (try variables.integer("MASTER_PORT") ?? LaunchVariables.port) + 1),
            localRank: local, localRanks: try variables.integer("LOCAL_WORLD_SIZE") ?? local + 1)
    }

    /// OMPI_COMM_WORLD_NODE_RANK is the rank among the processes of a node, and not looked at.
    private static func openMPI(_ variables: LaunchVariables) throws -> Launch? {
        guard let rank = try variables.integer("OMPI_COMM_WORLD_RANK") else { return nil }
        let ranks = try variables.required("OMPI_COMM_WORLD_SIZE", beside: "OMPI_COMM_WORLD_RANK")
        let local = try variables.integer("OMPI_COMM_WORLD_LOCAL_RANK") ?? rank
        let locals = try variables.integer("OMPI_COMM_WORLD_LOCAL_SIZE") ?? ranks
        return Launch(
            launcher: .openMPI, place: try variables.place(rank, ranks, isLocal: locals == ranks), localRank: local,
            localRanks: locals)
    }

    private static func mpich(_ variables: LaunchVariables) throws -> Launch? {
        guard let rank = try variables.integer("PMI_RANK") else { return nil }
        let ranks = try variables.required("PMI_SIZE", beside: "PMI_RANK")
        let local = try variables.integer("MPI_LOCALRANKID") ?? variables.integer("SLURM_LOCALID") ?? rank
        let step = try variables.isSlurm ? max(variables.stepTasksOfNode() ?? 0, local + 1) : ranks
        let locals = try variables.integer("MPI_LOCALNRANKS") ?? step
        return Launch(
            launcher: .mpich, place: try variables.place(rank, ranks, isLocal: locals == ranks), localRank: local,
            localRanks: locals)
    }

    /// Only in a step of srun's, and as many as that has tasks: a batch script, and a shell in an allocation, have the job's variables
    /// too.
    private static func slurm(_ variables: LaunchVariables) throws -> Launch? {
        guard variables.isSlurm, variables["SLURM_STEP_ID"] != nil, let rank = try variables.integer("SLURM_PROCID"),
            let ranks = try variables.integer("SLURM_STEP_NUM_TASKS") ?? variables.integer("SLURM_NTASKS")
        else { return nil }
        let local = try variables.required("SLURM_LOCALID", beside: "SLURM_PROCID")
        let locals = max(try variables.stepTasksOfNode() ?? 0, local + 1)
        return Launch(
            launcher: .slurm, place: try variables.place(rank, ranks, isLocal: locals == ranks, isStep: true),
            localRank: local, localRanks: locals)
    }

    /// RANK without LOCAL_RANK counts pods.
    private static func pytorchJob(_ variables: LaunchVariables) throws -> Launch? {
        guard variables["LOCAL_RANK"] == nil, let rank = try variables.integer("RANK"),
            let ranks = try variables.integer("WORLD_SIZE")
        else { return nil }
        return try pod(.pytorchJob, rank, ranks, variables)
    }

    private static func kubeflowTrainer(_ variables: LaunchVariables) throws -> Launch? {
        guard let rank = try variables.integer("PET_NODE_RANK"), let ranks = try variables.integer("PET_NNODES") else {
            return nil
        }
        guard let address = variables["PET_MASTER_ADDR"] else {
            throw CommunicationError.launch(name: "PET_MASTER_ADDR", expected: "the host of node 0", found: "none")
        }
        return try pod(.kubeflowTrainer, rank, ranks, at: address, port: "PET_MASTER_PORT", variables)
    }

    /// How many pods there are, and where the first is, is for the manifest to say.
    private static func indexedJob(_ variables: LaunchVariables) throws -> Launch? {
        guard let rank = try variables.integer("JOB_COMPLETION_INDEX"),
            let ranks = try variables.integer("WORLD_SIZE")
        else { return nil }
        return try pod(.indexedJob, rank, ranks, variables)
    }

    /// One of `ranks` pods, which stands for all of its processes.
    private static func pod(
        _ launcher: Launcher, _ rank: Int, _ ranks: Int, at address: String? = nil, port: String = "MASTER_PORT",
        _ variables: LaunchVariables
    ) throws -> Launch {
        Launch(
            launcher: launcher,
            place: RankPlace(
                rank: rank, ranks: ranks, address: try address ?? variables.address(isLocal: ranks == 1),
                port: try variables.integer(port) ?? LaunchVariables.port), localRank: 0, localRanks: 1)
    }

    /// How many processes the launcher wants on this host, where its variables are those of a host: NPROC_PER_NODE.
    public static func perHost(_ environment: [String: String]) throws -> Int? {
        let variables = LaunchVariables(environment)
        return try variables.integer("NPROC_PER_NODE") ?? variables.integer("PET_NPROC_PER_NODE")
    }
}

extension Launch {
    /// `count` processes of this host, which meet at a free port.
    /// - Throws: ``CommunicationError/meeting(place:reason:)`` when there is none.
    public static func here(_ count: Int) throws -> [Launch] {
        do {
            let port = try Listener("127.0.0.1", port: 0).port
            let place = RankPlace(rank: 0, ranks: 1, address: "127.0.0.1", port: port)
            return Launch(launcher: .moult, place: place, localRank: 0, localRanks: 1).divided(into: count)
        } catch let broken as Connection.Broken {
            throw CommunicationError.meeting(place: "127.0.0.1", reason: broken.reason)
        }
    }
}
