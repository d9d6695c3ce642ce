import type { DocHandle, Repo, RepoConfig } from "@automerge/automerge-repo"
import type { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"

/** A scalar string, or a text; both are read. `String(value)` gives its characters. */
export type Line = string | { toString(): string }

/** One todo; docs/SCHEMA.md says all of it. */
export interface Todo {
  title: Line
  kind?: Line
  priority?: number
  assignee?: Line
  owner?: Line
  estimate_minutes?: number
  check?: Line
  section?: Line
  /** Derived; setting it closes, deletes, or gives a verdict. */
  finished?: Line
  /** Derived. */
  percent?: number
  description?: string
  notes?: string
  design?: string
  acceptance_criteria?: string
  labels?: Record<string, true>
  edges?: Record<string, { on?: Line; kind?: Line }>
  remarks?: Record<string, { agent?: Line; text: Line }>
  /** Kept by Tress. */
  claim?: { token: Line; agent: Line }
}

export interface TodoDocument {
  schema: number
  strand: Line
  todos: Record<string, Todo>
}

export interface DesignDocument {
  schema: number
  strand: Line
  sections: Record<string, { heading: Line; level: number; position: number; body: string }>
  requirements: Record<string, { section: Line; text: Line; kind?: Line; criticality?: Line }>
  rules: Record<string, { text: Line; criticality?: Line }>
  decisions: Record<string, { title: Line; decision?: Line; rationale?: Line }>
}

export interface ImplementationDocument {
  schema: number
  strand: Line
  work: Record<string, unknown>
  agents: Record<string, unknown>
  ledger: Record<string, unknown>
}

export interface OpenOptions {
  hub: string
  urls: Record<"design" | "todo" | "implementation", string>
  run?: string
  token?: string
  agent?: string
  config?: RepoConfig
}

export function openRun(options: OpenOptions): Promise<{
  repo: Repo
  adapter: WebSocketClientAdapter
  design: DocHandle<DesignDocument>
  todo: DocHandle<TodoDocument>
  implementation: DocHandle<ImplementationDocument>
}>

export function line(text: string): Line
export function editTodo(handle: DocHandle<TodoDocument>, id: string, fields: Record<string, unknown>): void
export function addTodo(
  handle: DocHandle<TodoDocument>,
  key: string,
  todo: { title: string; priority?: number },
): void
