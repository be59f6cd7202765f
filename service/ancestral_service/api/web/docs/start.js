// Shows /openapi.json with Swagger UI. Nothing is loaded from another host: no validator badge, no OAuth redirect.
SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#reference',
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  deepLinking: true,
  validatorUrl: null,
  oauth2RedirectUrl: null,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
});
