// The documents of a Tress run in automerge-repo. Whatever is edited in them becomes operations in the run's log,
// under the name that the connection gives; what may not be edited is put back by the next change from the hub.

import { Repo, ImmutableString } from "@automerge/automerge-repo"
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"

/**
 * Opens the three documents of a run.
 *
 * @param {object} options
 * @param {string} options.hub the hub's address, such as `ws://127.0.0.1:7171`
 * @param {Record<"design"|"todo"|"implementation", string>} options.urls what `tress documents --json` says in `data.urls`
 * @param {string} [options.run] the run; `main` unless it is said
 * @param {string} [options.token] what `tress token create` printed
 * @param {string} [options.agent] the name under which edits are made; that of the token unless it is said
 * @param {import("@automerge/automerge-repo").RepoConfig} [options.config] more for the repo, such as a storage
 */
export async function openRun({ hub, urls, run = "main", token, agent, config = {} }) {
  const url = new URL(`/v1/runs/${run}/automerge`, hub)
  if (token) url.searchParams.set("token", token)
  if (agent) url.searchParams.set("agent", agent)
  const adapter = new WebSocketClientAdapter(url.href)
  const repo = new Repo({ ...config, network: [...(config.network ?? []), adapter] })
  const [design, todo, implementation] = await Promise.all(
    [urls.design, urls.todo, urls.implementation].map((document) => repo.find(document)),
  )
  return { repo, adapter, design, todo, implementation }
}

/** A value that is replaced as a whole. Other strings of JavaScript are texts, which Tress reads as well. */
export const line = (text) => new ImmutableString(text)

/** Changes fields of a todo: `{ title, priority, assignee, … }`; `null` takes one away. */
export function editTodo(handle, id, fields) {
  handle.change((document) => {
    const todo = document.todos[id]
    if (!todo) throw new Error(`there is no todo ${id}`)
    for (const [name, value] of Object.entries(fields)) {
      if (value === null) delete todo[name]
      else todo[name] = typeof value === "string" ? line(value) : value
    }
  })
}

/** Adds a todo under a key of its own, which becomes its external id. */
export function addTodo(handle, key, { title, ...fields }) {
  handle.change((document) => {
    document.todos[key] = { title: line(title), ...fields }
  })
}
