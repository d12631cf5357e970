import{j as s,T as a}from"./index-m6hlj2RC.js";function r({error:e}){return e?s.jsx(a,{size:"sm",className:"state-away",role:"alert",children:e.message}):null}export{r as F};
