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
  flex: none; width: 100%; max-width: 320px; height: var(--jp-widgets-inline-height, 28px); border-radius: 4px;
}
body[data-jp-theme-light="false"] :is(.kiegen-form, .kiegen-market) {  /* ipywidgets' own arrow is black on dark */
  --jp-widgets-dropdown-arrow: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
viewBox='0 0 18 18'%3E%3Cpath fill='none' stroke='%23ddd' stroke-width='2' d='m5 7 4 4 4-4'/%3E%3C/svg%3E");
}
.kiegen-form .widget-html-content { line-height: 1.4; }
.kiegen-market > .kiegen-place { margin-top: 10px; }
.kiegen-form .kiegen-title { font-size: 15px; font-weight: 600; color: var(--jp-ui-font-color0, #111); }
.kiegen-form .kiegen-count {
  font-size: 11px; font-variant-numeric: tabular-nums; color: var(--jp-ui-font-color2, #666);
}
.kiegen-form .kiegen-fields { display: flex; flex-flow: row wrap; column-gap: 14px; overflow: visible; }
.kiegen-form .kiegen-field { flex: 1 1 100%; min-width: 0; overflow: visible; }
.kiegen-form .kiegen-narrow { flex: 1 1 145px; }
.kiegen-form .kiegen-label { font-weight: 600; margin-right: 8px; color: var(--jp-ui-font-color1, #222); }
.kiegen-form .kiegen-hint { font-size: 12px; color: var(--jp-ui-font-color2, #666); }
.kiegen-form .kiegen-row .widget-label {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.kiegen-form .kiegen-row { overflow: visible; }
.kiegen-form .kiegen-small {
  height: 24px; line-height: 22px; padding: 0 8px; font-size: 12px; border-radius: 4px; background: none;
  border: 1px solid var(--jp-border-color2, #ddd); color: var(--jp-ui-font-color1, #222); box-shadow: none;
}
.kiegen-form .kiegen-row .kiegen-small { padding: 0; border-color: transparent; color: var(--jp-ui-font-color2, #666); }
.kiegen-form .kiegen-row .kiegen-small i { margin: 0; }
.kiegen-form .kiegen-file {
  display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; padding: 0 8px; border-radius: 4px;
  line-height: 26px; background: var(--jp-layout-color2, #eee); color: var(--jp-ui-font-color1, #222);
}
.kiegen-form .kiegen-small:hover:enabled { border-color: var(--jp-brand-color1, #1976d2); }
.kiegen-form .kiegen-calm {
  padding: 3px 9px; border-left: 3px solid var(--jp-border-color1, #bbb); font-size: 12px;
  color: var(--jp-ui-font-color2, #666);
}
.kiegen-form .kiegen-cost { font-variant-numeric: tabular-nums; white-space: normal; }
.kiegen-form .kiegen-more .jp-Collapse-header { padding: 4px 8px; font-size: 12px; font-weight: 600; }
.kiegen-form .kiegen-more .jp-Collapse-contents { padding: 8px 10px 4px; }
.kiegen-form .kiegen-status {
  font-size: 12px; color: var(--jp-ui-font-color2, #666); overflow-wrap: anywhere;
}
.kiegen-form .kiegen-error { font-size: 12px; }
.kiegen-form .kiegen-beyond, .kiegen-form .kiegen-error { color: var(--jp-error-color1, #c62828); }
.kiegen-form .kiegen-beyond { font-weight: 600; }
.kiegen-form .kiegen-invalid :is(textarea, input, select) {
  border-color: var(--jp-error-color1, #d32f2f) !important;
}
.kiegen-market .kiegen-found select { height: auto; max-width: none; font-size: 12px; }
.kiegen-tabs > .widget-tab-contents, .kiegen-tabs > .jupyter-widget-TabPanel-tabContents { padding: 8px 10px; }
.kiegen-tabs > .lm-TabBar, .kiegen-tabs > .jupyter-widget-TabPanel-tabBar { flex-wrap: wrap; }
.kiegen-tabs .lm-TabBar-tab, .kiegen-tabs .p-TabBar-tab { flex: 0 0 auto !important; padding: 0 8px !important; }
.kiegen-sandbox {
  display: inline-block; margin-left: 8px; padding: 1px 8px; border-radius: 9px;
  font-size: 11px; font-weight: 700; letter-spacing: .06em; line-height: 16px; vertical-align: 2px;
  background: var(--jp-warn-color1, #f57c00); color: #1b1300;
}
</style>"""
