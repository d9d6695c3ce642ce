// A scripted session of a stock client with a hub: open, read, watch a live change, edit a field and a text while an
// agent edits the same ones, go offline, come back. Run by the tests of tress-cli with the program and a hub:
//
//   node test/session.mjs HUB TOKEN RUN_JSON        (RUN_JSON: what `tress documents --json` printed)
//
// It says on stdout, a line each behind `> `, when it is the other side's turn, and reads a line before it goes on.
// The packages log to stdout as well, such as that a message came just when the connection was closed.

import assert from "node:assert/strict"
import { createInterface } from "node:readline"
import { getHeads } from "@automerge/automerge"
import { updateText } from "@automerge/automerge-repo"
import { editTodo, addTodo, openRun } from "../index.js"

const [hub, token, documents] = process.argv.slice(2)
const { urls } = JSON.parse(documents).data
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Says that something is done, and waits for the answer. */
async function turn(said) {
  console.log(`> ${said}`)
  return (await lines.next()).value
}

/** Waits until something holds of a document. */
async function until(handle, holds, what) {
  const deadline = Date.now() + 60_000
  while (!holds(handle.doc())) {
    if (Date.now() > deadline) throw new Error(`it never came that ${what}: ${JSON.stringify(handle.doc())}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const open = () => openRun({ hub, token, urls, agent: "browser" })
let run = await open()
let { todo, design, implementation } = run

// Open, and read.
const [id] = Object.keys(todo.doc().todos)
const mine = (document) => document.todos[id]
assert.equal(String(mine(todo.doc()).title), "first")
assert.equal(String(design.doc().strand), "design")
assert.equal(String(implementation.doc().strand), "implementation")

// Watch a live change.
await turn("opened")
await until(todo, (document) => String(mine(document).title) === "live", "the title changes")

// Edit a field and a text, while an agent edits the same ones.
await turn("watched")
todo.change((document) => {
  updateText(document, ["todos", id, "description"], mine(document).description.replace("one", "ONE"))
})
editTodo(todo, id, { priority: 0, assignee: "browser" })
addTodo(todo, "from-the-browser", { title: "added here", priority: 3 })
await turn("edited")
await until(todo, (document) => String(mine(document).description) === "ONE two three FOUR", "both edits are there")
await until(
  todo,
  (document) => Object.values(document.todos).some((one) => String(one.external_id) === "from-the-browser"),
  "what was added has its id",
)

// What may not be edited is put back.
todo.change((document) => {
  mine(document).finished = "completed"
  mine(document).percent = 100
})
await until(todo, (document) => mine(document).finished === undefined && mine(document).percent === 0, "it is put back")

// Go offline, edit there, and come back.
run.adapter.disconnect()
todo.change((document) => {
  updateText(document, ["todos", id, "notes"], "written offline")
})
await turn("offline")
run.adapter.connect(run.repo.peerId, {})
await until(todo, (document) => String(mine(document).title) === "meanwhile", "what came meanwhile is there")

// In the end both sides have the same document: the other one says which heads it has.
const heads = (await turn("back")).split(",").sort()
const ours = (document) => getHeads(document).sort()
await until(todo, (document) => ours(document).join() === heads.join(), "the heads are the same")
console.log("> agreed")
await run.repo.shutdown()
process.exit(0)
