import type { Part } from "./index.svelte";

export const query = {
  "query.label": { en: "Query", it: "Interrogazione" },
  "query.section": { en: "Which connections", it: "Quali connessioni" },
  "query.placeholder": {
    en: "All connections. For example: tcp and dport == 443",
    it: "Tutte le connessioni. Per esempio: tcp and dport == 443",
  },
  "query.clear": { en: "Empty the query", it: "Svuota l'interrogazione" },
  "query.focus": { en: "To the query line", it: "Alla riga dell'interrogazione" },
  "query.ahead": { en: "What can follow", it: "Come può continuare" },
  "query.aheadCount": { en: "{count} ways to go on", it: "{count} modi di continuare" },
  "query.help": {
    en: "Enter shows it, ↑ recalls earlier ones. Click a value in the table to add it, Alt-click to exclude it.",
    it: "Invio la mostra, ↑ richiama le precedenti. Clic su un valore della tabella lo aggiunge, Alt-clic lo esclude.",
  },
  "query.helpTouch": {
    en: "Tap a value in the table to add it, press it long to exclude it.",
    it: "Tocca un valore della tabella per aggiungerlo, tienilo premuto per escluderlo.",
  },
  "query.expected": { en: "Expected here: {list}", it: "Qui ci vuole: {list}" },
  "query.stillShown": { en: "The table still shows the query before.", it: "La tabella mostra ancora l'interrogazione precedente." },
  "query.saved": { en: "Saved queries", it: "Interrogazioni salvate" },
  "query.savedNone": {
    en: "None yet. Give the present query a name to find it again; it is kept in this browser.",
    it: "Ancora nessuna. Dai un nome all'interrogazione attuale per ritrovarla; resta in questo browser.",
  },
  "query.recent": { en: "Recent", it: "Recenti" },
  "query.name": { en: "Name", it: "Nome" },
  "query.keep": { en: "Save this query", it: "Salva questa interrogazione" },
  "query.keepEmpty": { en: "The query is empty: it selects everything.", it: "L'interrogazione è vuota: seleziona tutto." },
  "query.keepWrong": { en: "It is not a query yet: see what is wrong with it.", it: "Non è ancora corretta: guarda l'errore segnalato." },
  "query.replaces": { en: "Replaces the one of this name.", it: "Sostituisce quella con questo nome." },
  "query.delete": { en: "Delete “{name}”", it: "Elimina «{name}»" },
  "query.protocol": { en: "Protocol", it: "Protocollo" },
  "query.state": { en: "State", it: "Stato" },
  "query.limit": { en: "Show", it: "Mostra" },
  "query.anyProtocol": { en: "any protocol", it: "ogni protocollo" },
  "query.anyState": { en: "any state", it: "ogni stato" },
  "query.noStates": { en: "{protocol} has no states", it: "{protocol} non ha stati" },
  "query.allRows": { en: "all rows", it: "tutte le righe" },
  "query.first": { en: "first {count}", it: "prime {count}" },
} as const satisfies Part;
