"""All typography: derivations as text, Markdown, LaTeX and HTML."""
