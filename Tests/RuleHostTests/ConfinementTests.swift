import AfterloginRuleHost
import Glibc
import Testing

@Suite("Confinement", .serialized, .timeLimit(.minutes(1)))
struct ConfinementTests {
    /// What is tried; each throws, or returns something with `error`.
    static let attempts = [
        "require('fs').readFileSync('/etc/passwd')",
        "require('fs').readdirSync('/root')",
        "require('fs').writeFileSync('/tmp/afterlogin-was-here', 'x')",
        "require('fs').chmodSync('/tmp', 0o777)",
        "require('fs').symlinkSync('/etc/passwd', '/tmp/afterlogin-link')",
        "require('fs').readFileSync('/proc/' + process.ppid + '/environ')",
        "require('child_process').execFileSync('/bin/true')",
        "require('child_process').spawnSync(process.execPath, ['--version'])",
    ]

    @Test(arguments: attempts)
    func theKernelRefuses(_ attempt: String) async throws {
        let rule = """
            function (user, context, callback) {
                try {
                    const result = \(attempt);
                    user.refusal = result && result.error ? result.error.code : 'none: ' + String(result).slice(0, 80);
                } catch (error) {
                    user.refusal = error.code;
                }
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule, confinement: .required) { hosts in
            let user = await hosts.evaluate().user
            #expect(user == #"{"refusal":"EACCES"}"# || user == #"{"refusal":"EPERM"}"#, "\(user ?? "no user")")
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    @Test func aRuleCannotSayWhatIsInForce() async throws {
        let rule = """
            function (user, context, callback) {
                require('fs').writeSync(4, 'confinement forged; missing: -\\n');
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule) { hosts in
            #expect(await hosts.evaluate().summary == "completed")
            if let process = hosts.witness.started.first?.process { kill(process, SIGKILL) }
            while hosts.witness.deaths.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            #expect(hosts.witness.deaths.first?.confinement == hosts.witness.started.first?.confinement)
        }
    }

    /// What neither Landlock nor a library of the kernel's age covers, in the words of the kernel; a program of 64 bits tries them.
    @Test func theKernelRefusesWhatReachesOthersThroughDescriptorsAndLateCalls() throws {
        #if arch(x86_64)
        let (prctl, memfd) = (157, 319)
        #else
        let (prctl, memfd) = (167, 279)
        #endif
        let attempts = [
            ("owner of signals", "fcntl(STDIN, 8, getppid())"), ("kind of signal", "fcntl(STDIN, 10, 15)"),
            ("owner by type", "fcntl(STDIN, 15, pack('ii', 1, getppid()))"), ("lease", "fcntl(STDIN, 1024, 0)"),
            ("owner of a socket", "ioctl(STDIN, 0x8902, 0)"),
            ("network interfaces", "ioctl(STDIN, 0x8914, 0)"), ("lock", "flock(STDIN, 2) || -1"),
            ("outliving the parent", "syscall(\(prctl), 1, 0, 0, 0, 0)"),
            ("hidden memory", "syscall(\(memfd), 0, 0)"),
        ]
        // setxattrat, open_tree_attr, file_setattr
        let late = [463, 467, 469, 600]
        let script =
            attempts.map { "say('\($0.0)', \($0.1));" } + late.map { "say('\($0)', syscall(\($0), 0, 0, 0, 0, 0));" }
        let program = """
            sub say { print "$_[0]: ", defined $_[1] && $_[1] =~ /^[0-9]/ ? 'done' : $!, "\\n" }
            \(script.joined(separator: "\n"))
            open(my $status, '<', '/proc/self/status');
            while (<$status>) { print if /^CapBnd/ }
            """
        let output = try Self.confined("/usr/bin/perl", "-e", program).lines
        var expected =
            attempts.map { "\($0.0): Operation not permitted" } + late.map { "\($0): Function not implemented" }
        // Root alone can give them up; all that stays is reading.
        if geteuid() == 0 { expected.append("CapBnd:\t0000000000000004") }
        #expect(output.filter { geteuid() == 0 || !$0.hasPrefix("CapBnd") } == expected)
    }

    /// Root without the right to give up rights, as some containers have it: what it keeps is said, or is a reason not to start.
    @Test(.enabled(if: geteuid() == 0, "needs root"), arguments: ["required", "auto"])
    func capabilitiesThatStayAreNotPassedOver(mode: String) throws {
        let program = ["/usr/bin/perl", "-e", "print \"started\\n\""]
        let (lines, exitCode) = try Self.confined(
            program,
            mode: mode,
            before: ["/usr/bin/setpriv", "--bounding-set", "-setpcap"],
            options: ["--report", "1"]
        )
        if mode == "required" {
            #expect(exitCode == 125 && lines.count == 1 && lines[0].contains("capabilities"), "\(lines)")
        } else {
            #expect(exitCode == 0 && lines.count == 2 && lines[0].hasSuffix("; missing: capabilities"), "\(lines)")
        }
    }

    /// With them root's next program would have its capabilities again.
    @Test(.enabled(if: geteuid() == 0, "needs root"))
    func inheritedCapabilitiesAreGivenUpToo() throws {
        let print = "open(my $s, '<', '/proc/self/status'); while (<$s>) { print if /^Cap(Inh|Prm|Eff|Amb)/ }"
        let (lines, _) = try Self.confined(
            ["/usr/bin/perl", "-e", print],
            before: ["/usr/bin/setpriv", "--inh-caps", "+net_admin,+sys_ptrace", "--ambient-caps", "+net_admin"]
        )
        let (nothing, reading) = ("0000000000000000", "0000000000000004")
        #expect(lines == ["CapInh:\t\(nothing)", "CapPrm:\t\(reading)", "CapEff:\t\(reading)", "CapAmb:\t\(nothing)"])
    }

    #if arch(x86_64)
    /// System calls of 32 bits and of x32 have other numbers than those that are denied.
    @Test(arguments: [
        ("int 0x80", "run(pack('H*', 'b814000000cd80c3'))"),
        ("int 0x80 in a socketcall", "run(pack('H*', 'b866000000cd80c3'))"),
        ("x32", "syscall(0x40000027)"),
    ])
    func aSystemCallOfAForeignABIEndsTheProcess(_ name: String, _ call: String) throws {
        let program = """
            require DynaLoader;
            sub run {
                our $code = $_[0] . "\\xc3" x 8192;
                my $address = unpack('Q', pack('P', $code));
                syscall(10, $address & ~4095, 12288, 7) == 0 or die "mprotect: $!";
                DynaLoader::dl_install_xsub('main::machine', $address);
                machine();
            }
            $| = 1;
            print "before\\n";
            \(call);
            print "after\\n";
            """
        let (lines, exitCode) = try Self.confined("/usr/bin/perl", "-e", program)
        #expect(lines == ["before"])
        #expect(exitCode == 128 + SIGSYS)
    }
    #endif

    /// The lines that a confined program prints, and its exit code.
    private static func confined(_ words: String...) throws -> (lines: [String], exitCode: Int32?) {
        try self.confined(words)
    }

    private static func confined(
        _ words: [String],
        mode: String = "required",
        before: [String] = [],
        options: [String] = []
    ) throws -> (lines: [String], exitCode: Int32?) {
        let file = "/tmp/afterlogin-confined-\(getpid())"
        defer { unlink(file) }
        let readable = ["/lib", "/usr/lib", "/dev/null", "/etc/ld.so.cache", "/proc/self"].flatMap {
            ["--read", $0]
        }
        let loaders = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", words[0]].flatMap {
            ["--execute", $0]
        }
        let program = try ChildProgram(
            before + [BuiltProducts.confine, "--mode", mode] + options + readable + loaders + ["--"] + words,
            output: file,
            errors: file
        )
        while program.exitCode == nil { usleep(1_000) }
        return (self.text(file).split(separator: "\n").map(String.init), program.exitCode)
    }

    @Test func theEnvironmentIsEmpty() async throws {
        let rule = """
            function (user, context, callback) {
                user.environment = require('fs').readFileSync('/proc/self/environ', 'latin1');
                callback(null, user, context);
            }
            """
        setenv("AFTERLOGIN_TEST_SECRET", "a-secret", 1)
        try await RunningHosts.with(rule) { hosts in
            let user = try #require(await hosts.evaluate().user)
            #expect(user.contains("environment"))
            #expect(!user.contains("a-secret"))
            #expect(!user.contains("PATH"))
        }
    }

    /// Landlock does not ask who watches a folder, and all of /proc/self would show mounts and the machine's network.
    @Test func whatIsOutsideOfTheRulesIsNeitherWatchedNorListed() async throws {
        let rule = """
            function (user, context, callback) {
                const fs = require('fs');
                user.seen = [];
                for (const folder of ['/', '/tmp', '/etc']) {
                    try { fs.watch(folder, () => {}).close(); user.seen.push(folder); } catch {}
                }
                for (const name of ['mountinfo', 'mounts', 'net/tcp', 'net/unix', 'task/self/net/tcp', `task/${process.pid}/mountinfo`]) {
                    try { fs.readFileSync(`/proc/self/${name}`); user.seen.push(name); } catch {}
                }
                user.bytes = process.memoryUsage().rss > 0;
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule) { hosts in
            let user = try #require(await hosts.evaluate().user)
            #expect(user.contains(#""seen":[]"#), "\(user)")
            #expect(user.contains(#""bytes":true"#))
        }
    }

    @Test func aConfinedProcessDiesWithItsParent() async throws {
        let file = "/tmp/afterlogin-orphan-\(getpid())"
        defer { unlink(file) }
        let script = "'\(BuiltProducts.confine)' --mode off --parent $$ -- /bin/sleep 600 & echo $!; wait"
        let parent = try ChildProgram(["/bin/sh", "-c", script], output: file, errors: "/dev/null")
        var child: Int32 = 0
        while child == 0 || !Self.isRunning(child, "sleep") {
            try await Task.sleep(for: .milliseconds(1))
            child = Self.text(file).split(separator: "\n").first.flatMap { Int32($0) } ?? 0
        }
        parent.send(SIGKILL)
        while Self.isRunning(child, "sleep") { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test func aProcessWhoseParentIsAnotherDoesNotStart() async throws {
        let program = try ChildProgram(
            [BuiltProducts.confine, "--mode", "off", "--parent", "1", "--", "/bin/true"],
            output: "/dev/null",
            errors: "/dev/null"
        )
        while program.exitCode == nil { try await Task.sleep(for: .milliseconds(1)) }
        #expect(program.exitCode == 125)
    }

    /// Whether there is such a process with that name that is not a zombie.
    private static func isRunning(_ process: Int32, _ name: String) -> Bool {
        let text = self.text("/proc/\(process)/stat")
        return text.contains("(\(name)) ") && !text.contains(") Z ")
    }

    private static func text(_ path: String) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = read(file, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
    }
}
