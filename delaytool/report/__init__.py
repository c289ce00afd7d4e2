"""One self-contained HTML page about a run or a network: `content` gathers, `figures` draws, `page` composes."""
