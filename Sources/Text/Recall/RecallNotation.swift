/// How a list is written: what stands before its lines, a line, and what stands behind them.
struct RecallNotation: Sendable {
    var opening = ""
    var line: String
    var closing = ""

    static let all = [
        RecallNotation(line: "The {noun} of {key} is {value}.\n"),
        RecallNotation(line: "{key} has the {noun} {value}.\n"),
        RecallNotation(line: "For {key}, the {noun} was given as {value}.\n"),
        RecallNotation(line: "{\"name\": \"{key}\", \"{noun}\": \"{value}\"}\n"),
        RecallNotation(opening: "{\n", line: "  \"{key}\": \"{value}\",\n", closing: "}\n"),
        RecallNotation(opening: "| name | {noun} |\n|---|---|\n", line: "| {key} | {value} |\n"),
        RecallNotation(line: "{key} = {value}\n"),
        RecallNotation(opening: "{noun}s = {\n", line: "    '{key}': '{value}',\n", closing: "}\n"),
        RecallNotation(line: "set(\"{key}\", \"{value}\");\n"),
        RecallNotation(line: "{key} ........ {value}\n"),
        RecallNotation(opening: "name,{noun}\n", line: "{key},{value}\n"),
        RecallNotation(opening: "name\t{noun}\n", line: "{key}\t{value}\n"),
        RecallNotation(opening: "{noun}s:\n", line: "  {key}: {value}\n"),
        RecallNotation(opening: "[{noun}s]\n", line: "{key}={value}\n"),
        RecallNotation(
            opening: "<{noun}s>\n", line: "  <entry name=\"{key}\">{value}</entry>\n", closing: "</{noun}s>\n"),
        RecallNotation(opening: "<table>\n", line: "<tr><td>{key}</td><td>{value}</td></tr>\n", closing: "</table>\n"),
        RecallNotation(line: "INSERT INTO {noun}s VALUES ('{key}', '{value}');\n"),
        RecallNotation(line: "- {key}: {value}\n"),
        RecallNotation(line: "{key} -> {value}\n"),
        RecallNotation(line: "* {key} ({value})\n"),
        RecallNotation(line: "[{key}] {noun} {value}\n"),
        RecallNotation(line: "{key} & {value} \\\\\n"),
        RecallNotation(line: "Q: {key}\nA: {value}\n"),
    ]

    /// How people ask for a value, with its answer.
    static let questions = [
        "What is the {noun} of {key}? {value}\n", "Which {noun} belongs to {key}? {value}\n",
        "Q: {noun} of {key}?\nA: {value}\n", "The {noun} for {key} is {value}.\n", "Look up {key}: {value}\n",
        "{key}? {value}\n", "What was the {noun} of {key} again? It was {value}.\n",
        "Find the {noun} of {key}. Answer: {value}\n", "{key}'s {noun}: {value}\n",
        "Do you know the {noun} of {key}? Yes, {value}.\n", "Question: {key}\nAnswer: {value}\n",
        "User: I need the {noun} for {key}.\nAssistant: {value}\n",
    ]
}
