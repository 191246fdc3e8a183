import { Component } from "@angular/core";

@Component({ selector: "app-about", template: "<p>about</p>" })
export class About {}
