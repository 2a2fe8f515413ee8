import Communication
import Testing

@Suite("What has started a process")
struct LaunchTests {
    /// An environment, and what is made of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let environment: [String: String]
        let launcher: Launch.Launcher
        let rank: Int
        let ranks: Int
        let address: String
        let port: Int
        let local: (Int, Int)
        var testDescription: String { name }

        init(
            _ name: String, _ launcher: Launch.Launcher, rank: Int, of ranks: Int, at address: String, _ port: Int,
            local: (Int, Int), _ environment: [String: String]
        ) {
            (self.name, self.launcher, self.rank, self.ranks) = (name, launcher, rank, ranks)
            (self.address, self.port, self.local, self.environment) = (address, port, local, environment)
        }
    }

    static let cases = [
        Case(
            "our own", .moult, rank: 1, of: 2, at: "127.0.0.1", 4000, local: (1, 2),
            [
                "MOULT_RANK": "1", "MOULT_RANKS": "2", "MOULT_LOCAL_RANK": "1", "MOULT_LOCAL_RANKS": "2",
                "MOULT_ADDRESS": "127.0.0.1", "MOULT_PORT": "4000", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0",
                "TORCHELASTIC_RUN_ID": "x",
            ]),
        Case(
            "torchrun, whose own server has the port", .torchrun, rank: 5, of: 8, at: "node-a", 29501, local: (1, 4),
            [
                "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "GROUP_RANK": "1",
                "MASTER_ADDR": "node-a", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "101",
                "TORCHELASTIC_USE_AGENT_STORE": "True",
            ]),
        Case(
            "torchrun within a step of Slurm's", .torchrun, rank: 1, of: 2, at: "node-a", 29501, local: (1, 2),
            [
                "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "node-a",
                "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "101", "SLURM_JOB_ID": "7", "SLURM_PROCID": "0",
                "SLURM_NTASKS": "1", "SLURM_LOCALID": "0",
            ]),
        Case(
            "Open MPI on one host", .openMPI, rank: 3, of: 4, at: "127.0.0.1", 29500, local: (3, 4),
            [
                "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "3",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "OMPI_COMM_WORLD_NODE_RANK": "3",
            ]),
        Case(
            "Open MPI of an MPIJob", .openMPI, rank: 9, of: 16, at: "worker-0", 7777, local: (1, 8),
            [
                "OMPI_COMM_WORLD_RANK": "9", "OMPI_COMM_WORLD_SIZE": "16", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "8", "OMPI_COMM_WORLD_NODE_RANK": "1", "MASTER_ADDR": "worker-0",
                "MASTER_PORT": "7777",
            ]),
        Case(
            "MPICH", .mpich, rank: 1, of: 4, at: "host-1", 29500, local: (1, 2),
            [
                "PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2",
                "MASTER_ADDR": "host-1",
            ]),
        Case(
            "Intel MPI within Slurm", .mpich, rank: 2, of: 4, at: "n03", 15021, local: (0, 2),
            [
                "PMI_RANK": "2", "PMI_SIZE": "4", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "2",
                "SLURM_JOB_ID": "440021", "SLURM_JOB_NODELIST": "n[03-04]",
            ]),
        Case(
            "srun", .slurm, rank: 6, of: 8, at: "gpu03", 19876, local: (2, 4),
            [
                "SLURM_JOB_ID": "1234876", "SLURM_PROCID": "6", "SLURM_NTASKS": "8", "SLURM_LOCALID": "2",
                "SLURM_NODEID": "1", "SLURM_JOB_NODELIST": "gpu[03-04,09],login", "SLURM_STEP_ID": "0",
                "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_JOB_NAME": "moult",
            ]),
        Case(
            "srun within salloc, fewer tasks than the job's, on its last nodes", .slurm, rank: 2, of: 3, at: "gpu04",
            17876, local: (0, 1),
            [
                "SLURM_JOB_ID": "1234876", "SLURM_PROCID": "2", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0",
                "SLURM_NODEID": "1", "SLURM_JOB_NODELIST": "gpu[03-05]", "SLURM_STEP_NODELIST": "gpu[04-05]",
                "SLURM_NTASKS_PER_NODE": "4", "SLURM_STEP_ID": "8", "SLURM_STEP_NUM_TASKS": "3",
                "SLURM_STEP_TASKS_PER_NODE": "2,1", "SLURM_JOB_NAME": "interactive",
            ]),
        Case(
            "srun with PMI 2", .mpich, rank: 0, of: 4, at: "a", 15012, local: (0, 2),
            [
                "PMI_RANK": "0", "PMI_SIZE": "4", "SLURM_JOB_ID": "12", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
                "SLURM_JOB_NODELIST": "a,b", "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
            ]),
        Case(
            "srun with a task a node", .slurm, rank: 1, of: 2, at: "a", 15012, local: (0, 1),
            [
                "SLURM_JOB_ID": "12", "SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0",
                "SLURM_JOB_NODELIST": "a,b", "SLURM_STEP_ID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
            ]),
        Case(
            "a pod of a PyTorchJob", .pytorchJob, rank: 1, of: 2, at: "job-master-0", 23456, local: (0, 1),
            [
                "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456",
                "PET_NNODES": "2",
            ]),
        Case(
            "a pod of Kubeflow Trainer", .kubeflowTrainer, rank: 0, of: 3, at: "job-node-0", 29400, local: (0, 1),
            [
                "PET_NODE_RANK": "0", "PET_NNODES": "3", "PET_NPROC_PER_NODE": "8", "PET_MASTER_ADDR": "job-node-0",
                "PET_MASTER_PORT": "29400",
            ]),
        Case(
            "an Indexed Job", .indexedJob, rank: 2, of: 4, at: "train-0.train", 29500, local: (0, 1),
            ["JOB_COMPLETION_INDEX": "2", "WORLD_SIZE": "4", "MASTER_ADDR": "train-0.train"]),
        Case(
            "Ray Train, whose own server has the port", .ray, rank: 3, of: 4, at: "10.0.0.1", 6001, local: (1, 2),
            [
                "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "NODE_RANK": "1",
                "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "6000",
            ]),
    ]

    @Test("is told by the first launcher whose variables there are", arguments: cases)
    func detection(_ it: Case) throws {
        let launch = try #require(try Launch.detect(it.environment))
        #expect(launch.launcher == it.launcher)
        #expect(launch.place == RankPlace(rank: it.rank, ranks: it.ranks, address: it.address, port: it.port))
        #expect((launch.localRank, launch.localRanks) == it.local)
    }

    @Test(
        "is nobody for a process by itself",
        arguments: [
            [:], ["WORLD_SIZE": "4"], ["RANK": ""], ["JOB_COMPLETION_INDEX": "3"],
            // A batch script of Slurm's.
            ["SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"],
            ["SLURM_JOB_ID": "1", "SLURM_NTASKS": "4"],
        ])
    func nobody(_ environment: [String: String]) throws {
        #expect(try Launch.detect(environment) == nil)
    }

    @Test("is one rank of one for a shell in an allocation of Slurm's")
    func shell() throws {
        let launch = try Launch.detect([
            "SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0",
            "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1",
        ])
        #expect(launch?.place.ranks == 1)
    }

    @Test(
        "is refused where variables contradict each other, or one is missing",
        arguments: [
            (["RANK": "x", "WORLD_SIZE": "2"], "RANK: expected a whole number, found 'x'"),
            (["RANK": "-1", "WORLD_SIZE": "2"], "RANK: expected a whole number, found '-1'"),
            (
                ["RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "a"],
                "PyTorchJob: rank: expected 0 to 1, found 2"
            ),
            (["RANK": "0", "LOCAL_RANK": "0"], "WORLD_SIZE: expected a number beside RANK, found none"),
            (
                [
                    "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
                ],
                "MASTER_ADDR: expected the host of rank 0, as mpirun -x MASTER_ADDR=HOST sets it on all ranks, found none"
            ),
            (["PET_NODE_RANK": "0", "PET_NNODES": "2"], "PET_MASTER_ADDR: expected the host of node 0, found none"),
            (
                ["RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "99999"],
                "PyTorchJob: port: expected 1 to 65535, found 99999"
            ),
        ] as [([String: String], String)])
    func refusals(_ environment: [String: String], _ expected: String) throws {
        let error = #expect(throws: CommunicationError.self) { try Launch.detect(environment) }
        #expect(error.map { "\($0)" } == expected)
    }

    @Test("a host's part is divided among processes, which find their places again")
    func divided() throws {
        let pod = try #require(
            try Launch.detect(["RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "m", "MASTER_PORT": "5"]))
        let parts = pod.divided(into: 3)
        #expect(parts.map(\.place.rank) == [3, 4, 5])
        #expect(parts.allSatisfy { $0.place.ranks == 6 && $0.launcher == .pytorchJob && $0.localRanks == 3 })
        for part in parts { #expect(try Launch.detect(part.variables) == part) }
        #expect(try Launch.perHost(["PET_NPROC_PER_NODE": "8"]) == 8)
        #expect(throws: CommunicationError.self) { try Launch.perHost(["PET_NPROC_PER_NODE": "auto"]) }
    }

    @Test("a process has the device of its number, or the only one that it sees")
    func devices() throws {
        let launch = try #require(
            try Launch.detect(["RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "3", "MASTER_ADDR": "a"]))
        #expect(launch.deviceIndex([:]) == 3)
        #expect(launch.deviceIndex(["CUDA_VISIBLE_DEVICES": "0,1,2,3"]) == 3)
        #expect(launch.deviceIndex(["CUDA_VISIBLE_DEVICES": "3"]) == 0)
    }
}
