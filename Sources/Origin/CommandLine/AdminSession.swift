// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import OCI

/// One call of a command: what it speaks with, and how it prints what comes back.
struct AdminSession {
    /// Listed to whoever has to choose one.
    private static let choiceCountMax = 20

    let settings: CommandSettings
    let connection: AdminConnection
    let isJSON: Bool

    // MARK: What a command is about

    /// - Throws: A usage error that lists the organizations if none is set and the token reaches several.
    func organization(_ option: OrganizationOption) async throws(CommandFailure) -> String {
        if let name = try settings.organization(flag: option.org) { return name }
        let target = try AdminTarget.root.appending("organizations").asking("limit", "\(Self.choiceCountMax)")
        let answer = try await connection.send(.get, target)
        let names = answer["items"]?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
        let isCut = answer["next"] != nil
        if names.count == 1 && !isCut { return names[0] }
        guard !names.isEmpty else { throw .failed("the token reaches no organization") }
        let list = names.map { Printable.text($0) }.joined(separator: ", ")
        throw .usage("which organization? give --org or set DEPOT_ORGANIZATION to one of \(list)\(isCut ? ", …" : "")")
    }

    /// The path of something in the organization.
    func target(in option: OrganizationOption, _ segments: String...) async throws(CommandFailure) -> AdminTarget {
        var target = try AdminTarget.root.appending("organizations", await organization(option))
        for segment in segments { target = try target.appending(segment) }
        return target
    }

    // MARK: Doing and printing

    /// Prints all pages of a list.
    /// - Parameter isExport: One element a line, in place of both the table and the array.
    func list(
        _ target: AdminTarget, in member: String = "items", isExport: Bool = false, _ columns: [ListPrinter.Column]
    ) async throws(CommandFailure) {
        var printer = ListPrinter(isExport ? .lines : isJSON ? .array : .table(columns))
        try await connection.pages(of: target, in: member) { elements throws(CommandFailure) in
            try StandardStreams.write(printer.page(elements))
        }
        try StandardStreams.write(printer.end())
    }

    /// Prints one document.
    /// - Parameter members: Those that people see: of one, the value alone, so that it can be used at once.
    func print(
        _ method: FetchRequest.Method, _ target: AdminTarget, _ document: JSONValue? = nil, _ members: String...
    ) async throws(CommandFailure) {
        try print(try await connection.send(method, target, document), members)
    }

    func print(_ answer: JSONValue, _ members: [String]) throws(CommandFailure) {
        guard !isJSON else {
            return try StandardStreams.write(String(decoding: answer.encode(), as: UTF8.self) + "\n")
        }
        if members.count == 1 { return try StandardStreams.write(Printable.text(answer[members[0]]) + "\n") }
        var table = Table(columnCount: 2)
        let rows = members.filter { answer[$0] != nil }.map { name in
            [name.replacing("_", with: " "), Printable.text(answer[name])]
        }
        try StandardStreams.write(table.lines(rows))
    }

    /// Makes something with a secret, which is all that standard output gets.
    func printSecret(
        _ target: AdminTarget, _ document: JSONValue, member: String = "token"
    ) async throws(CommandFailure) {
        let answer = try await connection.send(.post, target, document)
        guard answer[member]?.stringValue != nil else { throw .failed("the answer holds no \(member)") }
        try print(answer, [member])
        let id = answer["id"].map { " \(Printable.text($0))" } ?? ""
        let end = answer["expires_at"].map { ", expires \(Printable.text($0))" } ?? ""
        StandardStreams.tell("\(member)\(id)\(end); it is shown this once")
    }

    /// Takes something away.
    /// - Parameter said: For people, such as `deleted project x`.
    func delete(_ target: AdminTarget, said: String) async throws(CommandFailure) {
        _ = try await connection.send(.delete, target)
        if !isJSON { try StandardStreams.write("\(said)\n") }
    }
}
