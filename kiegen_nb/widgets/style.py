"""The look of a form: plain ipywidgets take a style sheet only through an HTML widget."""

FORM_STYLE = """<style>
.kiegen-form { max-width: 720px; font-size: 13px; }
.kiegen-form .widget-label {
  text-align: left; font-weight: 600; color: var(--jp-ui-font-color1, #222);
}
.kiegen-form .kiegen-input textarea, .kiegen-form .kiegen-input input[type=text] {
  border-radius: 4px; width: 100%;
}
.kiegen-form .kiegen-input textarea { line-height: 1.45; resize: vertical; font-family: inherit; }
.kiegen-form .kiegen-input select {
  flex: none; width: 100%; max-width: 260px; height: var(--jp-widgets-inline-height, 28px); border-radius: 4px;
}
.kiegen-form .widget-html-content { line-height: 1.4; }
.kiegen-form .kiegen-title { font-size: 15px; font-weight: 600; color: var(--jp-ui-font-color0, #111); }
.kiegen-form .kiegen-count {
  font-size: 11px; font-variant-numeric: tabular-nums; color: var(--jp-ui-font-color2, #666);
}
.kiegen-form .kiegen-status {
  font-size: 12px; color: var(--jp-ui-font-color2, #666); overflow-wrap: anywhere;
}
.kiegen-form .kiegen-error { font-size: 12px; }
.kiegen-form .kiegen-beyond, .kiegen-form .kiegen-error { color: var(--jp-error-color1, #c62828); }
.kiegen-form .kiegen-beyond { font-weight: 600; }
.kiegen-form .kiegen-invalid :is(textarea, input, select) {
  border-color: var(--jp-error-color1, #d32f2f) !important;
}
.kiegen-sandbox {
  display: inline-block; margin-left: 8px; padding: 1px 8px; border-radius: 9px;
  font-size: 11px; font-weight: 700; letter-spacing: .06em; line-height: 16px; vertical-align: 2px;
  background: var(--jp-warn-color1, #f57c00); color: #1b1300;
}
</style>"""
