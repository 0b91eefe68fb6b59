// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import OCI
import OriginCommandLine
import Testing

/// What is read from a command line, and the help about it.
@Suite struct ArgumentTests {
    @Test(
        "a lifetime is a number with a unit",
        arguments: [("90s", 90), ("30m", 1800), ("2h", 7200), ("24h", 86_400), ("7d", 604_800), ("007m", 420)])
    func lifetime(text: String, seconds: Int) {
        #expect(TokenLifetime(argument: text)?.duration == .seconds(seconds))
    }

    @Test(
        "anything else is no lifetime",
        arguments: [
            "", "h", "30", "0m", "-1h", "+1h", "1.5h", "1h30m", "30 m", "30M", "1w", "٣m", "9999999999d",
        ])
    func noLifetime(text: String) {
        #expect(TokenLifetime(argument: text) == nil)
    }

    @Test("a claim has a name and one or more values")
    func claim() {
        let claim = ClaimArgument(argument: "ref=refs/heads/main,refs/tags/*")
        #expect(claim?.name == "ref" && claim?.values == ["refs/heads/main", "refs/tags/*"])
        let other = ClaimArgument(argument: "sub=a=b")
        #expect(other?.name == "sub" && other?.values == ["a=b"])
    }

    @Test("anything else is no claim", arguments: ["", "ref", "=x", "ref=", "ref=a,", "ref=,a", "ref=a,,b"])
    func noClaim(text: String) {
        #expect(ClaimArgument(argument: text) == nil)
    }

    @Test("conditions keep the order of the claims; a claim that is given twice may have the values of both")
    func conditions() {
        let claims = ["b=1", "a=2", "b=3"].compactMap(ClaimArgument.init(argument:))
        #expect(ClaimArgument.conditions(claims) == ["b": ["1", "3"], "a": ["2"]])
    }

    @Test("each command says what it does, with an example of its own")
    func help() {
        var paths: [String] = []
        func check(_ command: any ParsableCommand.Type, below parent: String) {
            let path = "\(parent) \(command._commandName)"
            paths.append(path)
            #expect(!command.configuration.abstract.isEmpty, "\(path)")
            let example = command.configuration.discussion.components(separatedBy: "EXAMPLE\n").last ?? ""
            #expect(example.contains(path) || example.contains("$(\(path)"), "\(path): \(example)")
            for next in command.configuration.subcommands { check(next, below: path) }
        }
        for command in AdminCommands.all { check(command, below: "depot-origin") }
        #expect(Set(paths).count == paths.count && paths.count > 40, "\(paths.count)")
    }
}
