"""When real models learn words: a small model of rows of sentences, followed in their place."""
