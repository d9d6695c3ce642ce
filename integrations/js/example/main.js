// A page that shows the todos of a run, live, and edits their titles. Whatever is typed is an operation in the run's log.

import { editTodo, openRun } from "@tress/automerge"

const form = document.querySelector("form")
const list = document.querySelector("ul")
const status = document.querySelector("output")

/** Shows what is there; a title that somebody types in is left alone. */
function show(todo) {
  const todos = Object.entries(todo.doc().todos)
  status.textContent = `${todos.length} todos`
  for (const [id, one] of todos) {
    let row = document.getElementById(id)
    if (!row) {
      row = list.appendChild(document.createElement("li"))
      row.id = id
      const title = row.appendChild(document.createElement("input"))
      title.addEventListener("change", () => editTodo(todo, id, { title: title.value }))
      row.appendChild(document.createElement("small"))
    }
    const [title, about] = row.children
    if (document.activeElement !== title) title.value = String(one.title)
    title.className = one.finished ? "done" : ""
    about.textContent = one.finished ? String(one.finished) : `${one.percent ?? 0} %${one.claim ? ` ${one.claim.agent}` : ""}`
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault()
  const { hub, token, documents } = Object.fromEntries(new FormData(form))
  try {
    status.textContent = "opening …"
    const { todo } = await openRun({ hub, token, urls: JSON.parse(documents).data.urls })
    form.hidden = true
    todo.on("change", () => show(todo))
    show(todo)
  } catch (error) {
    status.textContent = `this cannot be opened: ${error.message}`
  }
})
